# What a run does before its first job and when a job has failed.
from collections import Counter

from snakemake.settings.types import DeploymentMethod

from rotvar.system import limits
from rotvar.errors import InputError


def stop_at_mistaken_targets(options):
    """End where --set-threads took a target for a rule, which would be left out, and the whole study made instead. A
    rule that there is not is only named, because a profile may know more rules than the study has.
    """
    known = [rule.name for rule in workflow.rules]
    for name in options.overwrite_threads:
        if "/" in name:
            sys.exit(f"Error: --set-threads takes {name}=... for a rule; name targets before options, or after --.")
    for name in sorted({*options.overwrite_threads, *options.overwrite_resources} - {*known}):
        hint = sentences.did_you_mean(name, known)
        logger.warning(f"Threads or resources are set for {name}{hint}, which is no rule of this study.")


if workflow.is_main_process:
    stop_at_mistaken_targets(workflow.resource_settings)


def pass_on_debug(workflow):
    """Under --debug, jobs that end with a sentence leave its traceback in their logs as well."""
    if workflow.execution_settings.debug:
        os.environ.update(ROTVAR_DEBUG="1")


def begin_alone(workflow):
    """Lock the study's results, and end what a Snakemake that was killed left running or waiting."""
    # SLURM's plugin gives all jobs of a run one name
    queued_as = getattr(workflow.scheduler._executor, "run_uuid", "")
    try:
        runs.begin(config["results"], queued_as, logger.info)
    except InputError as error:
        sys.exit(f"Error: {error}")


KILLED_BEFORE = limits.kills()


def blame_memory():
    """Say that the kernel has killed processes in this time, which their logs cannot."""
    if killed := limits.kills() - KILLED_BEFORE:
        logger.error(
            f"Memory ran out: the kernel killed {killed} processes of this machine while this ran, maybe jobs that failed. "
            "Run fewer jobs at a time (--cores), or give them more memory."
        )


def by_conda_for_cpus(workflow):
    """Whether jobs compute by PyTorch's build for CPUs, on any machine."""
    return (
        DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method and config["conda"]["torch"] == "cpu"
    )


def announce(workflow):
    """Say what the run will make, where it computes and, without a GPU, for about how long."""
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_norun]
    networks = [job for job in jobs if job.rule.name in IMAGES_SEEN]
    counts = Counter(job.rule.name.split("_")[0] for job in jobs if job.rule.name != "measure_shard")
    logger.info(
        f"To be made in {config['results']}: data sets {counts['download']}, trained networks {counts['train'] + counts['retrain']}, "
        f"measurements {counts['measure']}, sets of figures {counts['plot']}, tables {counts['tabulate']}."
    )
    if not networks:
        return
    if for_cpus := by_conda_for_cpus(workflow):
        logger.info(
            "Conda makes PyTorch's build for CPUs. To compute on NVIDIA's GPUs, set conda: {torch: cuda} in the configuration."
        )
    if not workflow.local_exec:
        logger.info("Networks are trained and measured on the cluster.")
        return
    try:
        from rotvar import devices
        from rotvar.study import estimate
    except ModuleNotFoundError as error:  # under --use-conda, Snakemake's own environment needs no PyTorch
        where = "the CPU" if for_cpus else f"a GPU if their jobs find one ({error.name} is not here)"
        logger.info(f"Networks are trained and measured on {where}.")
        return
    visible = [devices.CPU] if for_cpus else devices.visible()
    logger.info(f"Networks are trained and measured on: {', '.join(map(devices.describe, visible))}.")
    if visible[0].type == "cpu":
        cores = min(workflow.cores, os.cpu_count())
        computing = sum(map(operations, networks)) / (estimate.EFFICIENCY * estimate.rate())
        seconds = (computing + estimate.START * len(jobs)) / cores
        logger.info(f"Without a GPU this takes about {estimate.duration(seconds)} on {cores} core{'s' * (cores > 1)}.")
        if seconds > 3600:
            logger.info("A small study on data that is already here: snakemake --workflow-profile demo")
        return
    places = config["jobs_per_gpu"] * len(visible)
    limit = getattr(workflow.global_resources.get("gpu"), "value", None) or workflow.cores  # what --resources says
    if places < min(workflow.cores, limit):
        logger.info(
            f"At most {places} of their jobs compute at a time (jobs_per_gpu: {config['jobs_per_gpu']}); others that are "
            f"started wait, and hold a core. To start no others: --resources gpu={places}"
        )
