"""Runs a built case in a session of its own and records what every step gave."""

import tensorflow as tf

from corpus import outcome
from corpus.waiting import wait_until

tf1 = tf.compat.v1


class Steps:
    """What a script drives. Records every run(); quiet() runs without recording.

    stages: a function that gives the figures of this session's live stages
      (plan_view.StageFigures), or None where nothing is staged.
    """

    def __init__(self, session, stages=None):
        self.session = session
        self.outcomes = []
        self.seen_ahead = set()
        self._stages = stages
        self._gated = False

    def run(self, fetches, feed=None, **kwargs):
        try:
            result = outcome.of_value(self.session.run(fetches, feed_dict=feed, **kwargs))
        except tf.errors.OpError as error:
            result = outcome.of_error(error)
        self.outcomes.append(result)
        if result.ok and not self._gated:
            self.gate()
        return result

    def quiet(self, fetches, feed=None):
        return self.session.run(fetches, feed_dict=feed)

    def note(self, value):
        """Records a value that did not come from a step (a file's content, say)."""
        self.outcomes.append(outcome.of_value(value))

    def gate(self):
        """Holds the training side until every stage that it has taken from and that runs ahead is
        ahead of it: has more results than were taken, or errors that wait in their place."""
        if self._stages is None:
            return

        def started_stages():
            return [s for s in self._stages() if s.taken > 0 and s.capacity > 0]

        def all_ahead():
            started = started_stages()
            return started if all(s.produced > s.taken or s.depth > 0 for s in started) else None

        started = started_stages()
        if not started:
            return
        self._gated = True
        self.seen_ahead.update(
            s.name for s in wait_until(all_ahead, f"run-ahead of {[s.name for s in started]}")
        )


def run_program(program, graph, config, stages_of=None):
    """Runs `program` in a new session; gives its Steps. stages_of: session -> its figures."""
    graph.finalize()  # a script that builds nodes would test something else in every run
    with graph.as_default(), tf1.Session(graph=graph, config=config) as session:
        steps = Steps(session, None if stages_of is None else lambda: stages_of(session))
        for fetch in program.init:
            session.run(fetch)
        if not program.queue_runners:
            program.script(steps)
        else:
            _with_queue_runners(session, lambda: program.script(steps))
        if program.final is not None:
            steps.run(program.final)
    return steps


def _with_queue_runners(session, body):
    coordinator = tf1.train.Coordinator()
    threads = tf1.train.start_queue_runners(session, coord=coordinator)
    try:
        body()
    finally:
        coordinator.request_stop()
        # Queue runners blocked in an enqueue end when the queues close.
        for runner in tf1.get_collection(tf1.GraphKeys.QUEUE_RUNNERS):
            session.run(runner.cancel_op)
        coordinator.join(threads, stop_grace_period_secs=20)
