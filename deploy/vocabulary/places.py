"""Writes shared/vocabulary/data/places.csv from hdx-python-country (OCHA, MIT licence).

    python -m deploy.vocabulary.places [--check]

The library carries ISO 3166-1 and M49 codes, names in the six UN languages, M49 regions and the World Bank's
income groups. Its packaged copy is read, so the result depends on the locked version only. With --check
nothing is written, and the exit code is 1 if the committed file is not what the library gives.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from importlib.metadata import version

from hdx.location.country import Country

from shared.vocabulary.tables import SHIPPED

COLUMNS = (
    *("iso3", "iso2", "m49", "en", "fr", "es", "ar", "ru", "zh"),
    *("region", "sub_region", "intermediate_region", "income"),
)
LANGUAGES = {"en": "English", "fr": "French", "es": "Spanish", "ar": "Arabic", "ru": "Russian", "zh": "Chinese"}
INCOME = {"Low": "low", "Lower middle": "lower_middle", "Upper middle": "upper_middle", "High": "high"}

# M49 lists it not, so the library names it in English only; these are the forms of ISO 3166-1.
NAMES = {
    "TWN": {
        "fr": "Taïwan (Province de Chine)",
        "es": "Taiwán (Provincia de China)",
        "ar": "تايوان (مقاطعة صينية)",
        "ru": "Тайвань (провинция Китая)",
        "zh": "中国台湾省",
    }
}


def rows() -> list[dict[str, str]]:
    """One row a place, by ISO 3166-1 alpha-3."""
    countries: dict[str, dict[str, str | None]] = Country.countriesdata(use_live=False)["countries"]
    return [_row(iso3, countries[iso3]) for iso3 in sorted(countries)]


def _row(iso3: str, entry: dict[str, str | None]) -> dict[str, str]:
    names = {
        language: entry[f"M49 {name}"] or entry[f"{name} Short"] or NAMES.get(iso3, {}).get(language)
        for language, name in LANGUAGES.items()
    }
    absent = [language for language, name in names.items() if not name]
    if absent:
        raise ValueError(f"{iso3} has no name in {', '.join(absent)}")
    return {
        "iso3": iso3,
        "iso2": entry["ISO 3166-1 Alpha 2-Codes"] or "",
        "m49": (entry["m49 numerical code"] or "").zfill(3),
        **{language: name or "" for language, name in names.items()},
        "region": entry["Region Name"] or "",
        "sub_region": entry["Sub-region Name"] or "",
        "intermediate_region": entry["Intermediate Region Name"] or "",
        "income": INCOME[income] if (income := entry["World Bank Income Level"]) else "",
    }


def as_csv() -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())
    return file.getvalue()


def main(arguments: list[str]) -> int:
    library = f"hdx-python-country {version('hdx-python-country')}"
    tables = json.loads((SHIPPED / "tables.json").read_text("utf-8"))
    tables["places"] |= {"version": library.replace(" ", "-"), "source": f"{library} (OCHA, MIT licence)"}
    fresh = {"places.csv": as_csv(), "tables.json": json.dumps(tables, indent=2, ensure_ascii=False) + "\n"}
    drifted = [name for name, content in fresh.items() if (SHIPPED / name).read_text("utf-8") != content]
    if "--check" in arguments:
        if drifted:
            print(f"{', '.join(drifted)}: not what {library} gives; run: python -m deploy.vocabulary.places")  # noqa: T201
        return int(bool(drifted))
    for name in drifted:
        (SHIPPED / name).write_text(fresh[name], "utf-8")
    print(f"places written from {library}")  # noqa: T201  # a command says what it did
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
