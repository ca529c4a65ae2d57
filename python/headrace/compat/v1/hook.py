"""tf.make_prefetch_hook: reports the plan, starts stages early, and closes them at the end."""

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from headrace import library, live, plans
from headrace._log import logger
from headrace.errors import HeadraceError

# Target that the staging pass puts into a rewritten graph: running it starts the stages.
START = "headrace/start"


def make_prefetch_hook():
    """A SessionRunHook for the session's stages. Staging works without it, too.

    After the session is made it logs the plan and starts the stages, where otherwise the first step
    would; at the end it logs their figures and closes them. It logs to the logger "headrace".
    """
    return PrefetchHook()


class PrefetchHook(tf.compat.v1.train.SessionRunHook):
    """See make_prefetch_hook(). One hook serves one session at a time."""

    def after_create_session(self, session, coord):
        """Also called each time a monitored session is re-created."""
        log = logger()
        if library.switched_off():
            log.info("staging is switched off by HEADRACE_STAGING=off")
            return
        try:
            config = session._config
            plan = plans.explain(session.graph, config)
        except HeadraceError as error:
            # A report must not end a training run that works without it.
            log.warning("no plan to report: %s", error)
            return
        log.info("%s", plan.summary())
        if plan.stages:
            start_stages(session)

    def end(self, session):
        log = logger()
        try:
            for figures in live.stats(session):
                log.info("%s", figures_text(figures))
            live.close(session)
        except HeadraceError as error:
            log.warning("stages not closed: %s", error)


def start_stages(session) -> bool:
    """Starts the session's stages before their first take. Returns whether the session has any.

    The target is not in the Python graph, so it is named to the session directly.
    """
    options = config_pb2.CallableOptions(target=[START])
    try:
        start = session._make_callable_from_options(options)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError):
        return False
    start()
    return True


def figures_text(figures) -> str:
    """One line about one stage, from what stats() says of it."""
    waited = {who: figures[f"{who}_wait_us"] / 1e6 for who in ("producer", "consumer")}
    text = (
        f"stage '{figures['name']}': {figures['taken']} taken, {figures['failed']} failed, "
        f"{figures['skipped']} skipped; stage waited {waited['producer']:.3f} s, steps waited "
        f"{waited['consumer']:.3f} s"
    )
    return text + (f"; last error: {figures['last_error']}" if figures["last_error"] else "")


__all__ = ["make_prefetch_hook", "PrefetchHook", "start_stages"]
