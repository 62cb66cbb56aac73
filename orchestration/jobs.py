"""When runs start and what happens when one fails.

Belongs here: jobs, the schedule, the sensor for new files and the failure hook.
Does not belong here: what is run.
"""

import hashlib

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from lifecycle.build import finish_unpublished
from lifecycle.errors import GateStoppedError
from lifecycle.settings import Settings
from orchestration.resources import Company

DAILY = "daily"
MAX_RUN_SECONDS = 6 * 60 * 60


@dg.failure_hook(name="note_failure", required_resource_keys={"company"})
def note_failure(context: dg.HookContext) -> None:
    """Write the failed step into the run log and say where to look."""
    company: Company = context.resources.company
    is_stopped = isinstance(context.op_exception, GateStoppedError | dg.DagsterAssetCheckFailedError)
    with company.hold(context.run_id), company.open_warehouse() as warehouse:
        finish_unpublished(warehouse, context.run_id, "stopped" if is_stopped else "failed", company.now())
    context.log.error(
        f"Step {context.step_key} of run {context.run_id} failed. What was published before stays as it is;"
        " `lifecycle doctor` looks for causes, docs/operating.md says what to do."
    )


def build_jobs(settings: Settings, syncs: bool = True) -> list[UnresolvedAssetJobDefinition]:
    """``daily`` is the whole flow; ``publish`` sends what is published already."""
    everything = dg.AssetSelection.all()
    publish = dg.AssetSelection.groups("publish")
    tags = {"dagster/max_runtime": str(MAX_RUN_SECONDS)}
    jobs = [
        dg.define_asset_job(
            DAILY,
            selection=everything,
            hooks={note_failure},
            tags=tags,
            description="Sources to lists: the whole flow, every gate included.",
        )
    ]
    if syncs and settings.syncs:
        jobs.append(
            dg.define_asset_job(
                "publish",
                selection=publish,
                hooks={note_failure},
                tags=tags,
                description="Bring every list up to the current publication.",
            )
        )
    return jobs


def build_schedule(settings: Settings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="every_morning",
        job_name=DAILY,
        cron_schedule="0 5 * * *",
        execution_timezone=settings.timezone,
        description="The whole flow once a day, when yesterday is over in the reporting zone.",
    )


def build_new_file_sensor(settings: Settings) -> dg.SensorDefinition:
    """Starts the whole flow when the files of a source are not those of the last look."""

    @dg.sensor(
        name="new_files",
        job_name=DAILY,
        minimum_interval_seconds=60,
        description="A source has a file that is new or has changed.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = fingerprint(settings)
        if not seen:
            return dg.SkipReason("no source has a file yet")
        if seen == context.cursor:
            return dg.SkipReason("no file has changed since the last look")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=seen)], cursor=seen)

    return new_files


def fingerprint(settings: Settings) -> str:
    """Changes when a source gets a file, or one changes its size or time; empty while there is none."""
    digest = hashlib.sha256()
    found = False
    for source in settings.inputs:
        for path in sorted(settings.folder.glob(source.path)):
            status = path.stat()
            digest.update(f"{source.name}|{source.table}|{path}|{status.st_size}|{status.st_mtime_ns}\n".encode())
            found = True
    return digest.hexdigest() if found else ""
