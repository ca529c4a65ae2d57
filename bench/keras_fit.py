"""Keras's fit as a contender: one call of fit that is let go on by so many steps at a time."""

import queue
import threading
import time

import keras

from examples.common.stepper import Segment


class _Gate(keras.callbacks.Callback):
    """Lets fit go on by as many executions as are asked for, and tells when they are done."""

    def __init__(self):
        super().__init__()
        self._asked, self.told = queue.SimpleQueue(), queue.SimpleQueue()
        self._left = 0

    def go(self, executions):
        """Called elsewhere; 0 ends fit."""
        self._asked.put(executions)

    def on_train_batch_begin(self, batch, logs=None):
        if self._left == 0:
            self._left = self._asked.get()
            if self._left == 0:
                raise _End

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if self._left == 0:
            self.told.put(None)


class _End(Exception):
    """fit was asked to end."""


class Fit:
    """Steps model.fit() on an endless dataset, with the callbacks that fit itself has and one more.

    steps_per_execution: as the model was compiled. Owns the thread that fit runs in until close(); not usable
    after an error.
    """

    def __init__(self, model, dataset, steps_per_execution=1):
        self._per = steps_per_execution
        self._gate = _Gate()
        self._thread = threading.Thread(target=self._run, args=(model, dataset), daemon=True)
        self._thread.start()

    def _run(self, model, dataset):
        try:
            # An epoch without an end: between epochs fit would stop and begin anew.
            model.fit(dataset, epochs=1, steps_per_epoch=1 << 40, verbose=0, callbacks=[self._gate])
            self._gate.told.put(RuntimeError("fit ended by itself: the dataset has an end"))
        except _End:
            pass
        except Exception as error:
            self._gate.told.put(error)

    def advance(self, steps):
        """Runs `steps` steps, or the next multiple of steps_per_execution. Errors of fit are raised."""
        executions = -(-steps // self._per)
        cpu, start = time.process_time(), time.perf_counter()
        self._gate.go(executions)
        error = self._gate.told.get()
        if error is not None:
            raise error
        return Segment(executions * self._per, time.perf_counter() - start, time.process_time() - cpu, [])

    def close(self):
        self._gate.go(0)  # nobody waits for it where fit has ended
        self._thread.join()
