"""Where a pilot acts: `countries` and `sites` are two ways to post the same thing, kept in step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.registry.records.findings import Findings

Part = dict[str, Any]


def sites_of(post: Mapping[str, Any], given: set[str], before: Sequence[Part], findings: Findings) -> list[Part | None]:
    """The sites that a post means. `given` names the fields this request posted: where only `countries` came, earlier
    sites outside them go and each new country gets one; where `sites` came too, they win and countries complete them.
    """
    countries: list[str] = list(dict.fromkeys(code for code in post.get("countries") or () if code is not None))
    if "sites" in given or ("countries" not in given and "sites" in post):
        sites: list[Part | None] = list(post.get("sites") or ())
    else:
        sites = [site for site in before if site.get("country") in countries]
    there = {site.get("country") for site in sites if site}
    if "countries" in given or not sites:
        sites += [{"country": code} for code in countries if code not in there]
        more = [code for code in there if code is not None and code not in countries]
        if "countries" in given and more:
            detail = f"Sites lie in {', '.join(sorted(more))} too; the countries were completed."
            findings.notice("countries", "completed", detail)
    return sites


def countries_of(sites: Sequence[Part | None]) -> list[str]:
    """The countries of the sites, each once, in the order of the sites."""
    return list(dict.fromkeys(site["country"] for site in sites if site and site.get("country")))
