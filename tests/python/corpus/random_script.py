"""How a random graph is driven."""


class RandomScript:
    """Runs the steps; after each good one records the variables too.

    restart: the one iterator, where what follows the first error is defined as well: the steps go
      on after it, with the iterator initialized again. None: the first error ends the script.
    """

    def __init__(self, steps, variables, restart):
        self._steps = steps
        self._variables = variables
        self._restart = restart

    def __call__(self, steps):
        for fetches, feeds in self._steps:
            if not fetches:
                continue
            if steps.run(fetches, feeds).ok:
                steps.run(self._variables)
                continue
            if self._restart is None:
                return
            steps.run(self._restart.initializer)
