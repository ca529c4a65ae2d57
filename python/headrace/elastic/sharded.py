"""The training step for variables on parameter servers, whole and in its three parts.

    train(*elements)       asynchronous: one step on one batch: {"loss", "step"}
    gradients(*elements)   synchronous: {"loss", gradients, "state_0", ...}; writes no variable
    apply(gradients)       the optimizer's step: {"step"}
    update_state(state)    what the forward pass writes, such as moving averages: {"done"}

The gradient of the list's i-th variable that has one is "gradient_i", or "gradient_i_indices" (each once) and
"gradient_i_values". Parts and whole do the same: train = gradients, apply, update_state.
"""

import contextlib

import keras
import tensorflow as tf

from headrace.elastic import graph_checks, sparse, sparse_optimizers
from headrace.errors import ExportError


class Writes(keras.StatelessScope):
    """Collects what Keras variables would be assigned, and losses of layers. `variables`: in order."""

    def __init__(self):
        super().__init__(collect_losses=True)
        self.variables = []

    def add_update(self, update):
        variable, _ = update
        if all(variable is not known for known in self.variables):
            self.variables.append(variable)
        super().add_update(update)


class Step:
    """Traces the step of a job.

    job: export.Job. specs: of the batch's flat elements. pack: gives (features, labels) of these elements.
    variables: the model's trainable ones, for which the optimizer is built. names: gives each its name.
    """

    def __init__(self, job, specs, pack, variables, names):
        self._job, self._specs, self._pack, self._names = job, specs, pack, names
        self._variables = variables
        self._refusals = [sparse_optimizers.refusal(job.optimizer, v) for v in variables]
        self._written = []  # by the forward pass
        self._gradients = []  # (place, gradient) of gradients()

    def train(self):
        @tf.function(input_signature=self._specs)
        def train(*elements):
            features, labels = self._pack(elements)
            with tf.GradientTape() as tape:
                loss = self._job.total_loss(features, labels)
                scaled = self._job.optimizer.scale_loss(loss)
            self._apply(self._settled(tape.gradient(scaled, self._variables)))
            return {"loss": loss, "step": self._job.step.assign_add(1)}

        return train

    # --- its parts ----------------------------------------------------------------------------

    def parts(self):
        """{name: function} of gradients, apply and update_state.

        Errors: ExportError where the model's forward pass writes variables that are not Keras's.
        """

        @tf.function(input_signature=self._specs)
        def gradients(*elements):
            features, labels = self._pack(elements)
            with tf.GradientTape() as tape:
                with Writes() as writes:
                    loss = self._job.batch_loss(features, labels)
                loss = self._job.with_extra(loss, writes.losses)
                scaled = self._job.optimizer.scale_loss(loss)
            found = self._settled(tape.gradient(scaled, self._variables))
            self._gradients = [(place, g) for place, g in enumerate(found) if g is not None]
            self._written = writes.variables
            state = [tf.cast(writes.get_current_value(v), v.value.dtype) for v in writes.variables]
            return {"loss": loss} | _named_gradients(self._gradients) | _named("state", state)

        self._check_writes_nothing(graph_checks.traced(gradients))
        self._check_means()
        return {"gradients": gradients, "apply": self._apply_part(), "update_state": self._state_part()}

    def _apply_part(self):
        specs = []
        for name, tensor in _named_gradients(self._gradients).items():
            specs.append(tf.TensorSpec(tensor.shape, tensor.dtype, name))

        @tf.function(input_signature=specs)
        def apply(*given):
            given = list(given)
            gradients = [None] * len(self._variables)
            for place, gradient in self._gradients:
                if isinstance(gradient, tf.IndexedSlices):
                    indices, values = given.pop(0), given.pop(0)
                    shape = tf.constant(self._variables[place].shape.as_list(), tf.int64)
                    gradients[place] = tf.IndexedSlices(values, indices, shape)
                else:
                    gradients[place] = given.pop(0)
            self._apply(gradients)
            return {"step": self._job.step.assign_add(1)}

        return apply

    def _state_part(self):
        specs = [
            tf.TensorSpec(v.shape, v.value.dtype, f"state_{i}") for i, v in enumerate(self._written)
        ]

        @tf.function(input_signature=specs)
        def update_state(*state):
            for variable, value in zip(self._written, state, strict=True):
                variable.assign(value)
            return {"done": tf.constant(0, tf.int64)}

        return update_state

    def describe(self):
        """What the exported job's description says of the parts."""
        gradients = []
        for i, (place, gradient) in enumerate(self._gradients):
            variable = self._variables[place]
            gradients.append(
                {
                    "name": f"gradient_{i}",
                    "variable": self._name(place),
                    "place": place,
                    "sparse": isinstance(gradient, tf.IndexedSlices),
                    "dtype": gradient.dtype.name,
                    "shape": list(variable.shape),
                }
            )
        state = [
            {"variable": self._names.of(v.value), "dtype": v.value.dtype.name, "shape": list(v.shape)}
            for v in self._written
        ]
        return {
            "gradients": {
                "signature": "gradients",
                "inputs": [spec.name for spec in self._specs],
                "gradients": gradients,
                "state": state,
            },
            "apply": {"signature": "apply", "inputs": list(_named_gradients(self._gradients))},
            "update_state": {
                "signature": "update_state",
                "inputs": [f"state_{i}" for i in range(len(state))],
            },
        }

    # --- what they share ----------------------------------------------------------------------

    def _name(self, place):
        return self._names.of(_inner(self._variables[place]))

    def _settled(self, gradients):
        """Gradients as the optimizer gets them: of slices each row once, the others dense.

        Errors: ExportError for a large table whose gradient or update would be dense.
        """
        settled = []
        for place, (variable, gradient) in enumerate(zip(self._variables, gradients, strict=True)):
            is_sparse = isinstance(gradient, tf.IndexedSlices)
            if is_sparse and not self._refusals[place]:
                gradient = sparse.distinct(gradient, variable)
            elif gradient is not None:
                if sparse.is_large(variable):
                    raise ExportError(self._refused(place, is_sparse))
                gradient = tf.convert_to_tensor(gradient)
            settled.append(gradient)
        return settled

    def _refused(self, place, is_sparse):
        variable = self._variables[place]
        if is_sparse:
            reason = self._refusals[place]
        elif getattr(variable, "regularizer", None) is not None:
            reason = "its gradient is dense, for its regularizer reads every row each step: leave it out"
        else:
            reason = (
                "its gradient is dense, for the model uses it otherwise than by looking rows up: look them up "
                "with keras.layers.Embedding, tf.gather or tf.nn.embedding_lookup"
            )
        rows = f"{int(variable.shape[0])} rows, too many to send each step"
        return f"{self._job.model_path}: table '{self._name(place)}' ({rows}): {reason}"

    def _apply(self, gradients):
        optimizer = self._job.optimizer
        marked = [
            None if gradient is None else sparse.marked(gradient, place)
            for place, gradient in enumerate(gradients)
        ]
        # Optimizers that wrap another one never get slices: they have no update by rows.
        updates = contextlib.nullcontext()
        if any(isinstance(gradient, tf.IndexedSlices) for gradient in marked):
            updates = sparse_optimizers.updates(optimizer, self._names.of)
        with updates:
            optimizer.apply_gradients(zip(marked, self._variables, strict=True))

    def _check_writes_nothing(self, gradients):
        for op, variable in graph_checks.variable_uses(gradients):
            if op.type not in graph_checks.READS:
                what = f"'{self._names.of(variable)}' ({op.type}, op '{op.name}'){graph_checks.where(op)}"
                raise ExportError(
                    f"{self._job.model_path}: synchronous training (--use_async=false) is not possible: the "
                    f"model itself writes {what}, which would also count for gradients that are dropped: "
                    "make it a Keras variable that layers assign, or train asynchronously"
                )

    def _check_means(self):
        """TensorFlow's accumulators, which add up the gradients of a step, have no kernels for others."""
        used = {self._name(place): gradient.dtype for place, gradient in self._gradients}
        used |= {self._names.of(v.value): v.value.dtype for v in self._written}
        for name, dtype in used.items():
            if dtype.is_floating and dtype not in (tf.float16, tf.float32, tf.float64):
                raise ExportError(
                    f"{self._job.model_path}: synchronous training (--use_async=false) is not possible: "
                    f"TensorFlow adds up no gradients of {dtype.name}, which '{name}' has: keep variables in "
                    "float32 (as the mixed_bfloat16 policy does), or train asynchronously"
                )


def _inner(variable):
    """TensorFlow's own variable of a Keras variable."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def _named(root, tensors):
    return {f"{root}_{i}": tensor for i, tensor in enumerate(tensors)}


def _named_gradients(gradients):
    """{name of the tensor: tensor}, in order."""
    named = {}
    for i, (_, gradient) in enumerate(gradients):
        if isinstance(gradient, tf.IndexedSlices):
            named |= {f"gradient_{i}_indices": gradient.indices, f"gradient_{i}_values": gradient.values}
        else:
            named[f"gradient_{i}"] = gradient
    return named
