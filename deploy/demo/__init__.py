"""`pilotmesh demo`: a node with the sample portfolio on it, loaded through the public HTTP API like anybody would.

portfolio reads the sample, people hosts its agencies, loading posts its records, answers lets the invented agencies
answer, summary says what came out, story puts them in order.
"""
