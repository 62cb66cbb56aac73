"""Everything Dagster knows of one company, built from its settings.

Belongs here: putting the pieces together. Loading this module reads ``lifecycle.yml``, the lifecycle rules and the
parsed dbt project, and touches no network, no secret and no warehouse.
"""

from __future__ import annotations

import dagster as dg

from lifecycle.rules import check_rules
from lifecycle.settings import Settings, load_settings
from orchestration.assets.attribution import removal_effects
from orchestration.assets.identity import identity
from orchestration.assets.intake import landing, raw
from orchestration.assets.publishing import build_sync_assets
from orchestration.assets.quality import marts_verdict, segment_verdicts
from orchestration.assets.serving import publication
from orchestration.dbt import build_dbt_assets
from orchestration.jobs import build_jobs, build_new_file_sensor, build_schedule
from orchestration.resources import Company


def build_definitions(settings: Settings, company: Company | None = None) -> dg.Definitions:
    """Assets, gates, jobs, schedule and sensor of one company.

    ``company`` says how this run differs from an ordinary one: a past day is built without syncs.
    """
    company = company or Company(settings)
    syncs = [] if company.is_past_day else build_sync_assets(settings)
    return dg.Definitions(
        assets=[
            landing,
            raw,
            build_dbt_assets(),
            identity,
            removal_effects,
            marts_verdict,
            segment_verdicts,
            publication,
            *syncs,
        ],
        jobs=build_jobs(settings, syncs=bool(syncs)),
        schedules=[build_schedule(settings)],
        sensors=[build_new_file_sensor(settings)],
        resources={"company": company},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The company that LIFECYCLE_CONFIG names: what ``dagster dev -m orchestration.definitions`` serves."""
    settings = load_settings()
    check_rules()
    return build_definitions(settings)
