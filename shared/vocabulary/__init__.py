"""The words that every service checks records against: goals, needs, places, people, agencies, breakdowns.

Pure data and tiny functions; nothing here knows a service. Each module holds some lists, read on first use:

- `sdg` goals, targets, indicators · `strategy` the road map's measures, commitments, layers, principles
- `capability` what a pilot needs and an agency brings · `groups` whom it is for · `standing_rules` whom that tells
- `places` countries, the groups they are in on a day, extreme poverty · `entities` of the United Nations system
- `dimensions` how figures are broken down · `catalogue` all of it, with versions and an operator's own rows
"""
