"""Random session graphs, each a function of its seed, whose unstaged runs have one outcome.

A graph mixes one or two iterators, pure ops on numbers and texts, conditionals, loops and calls,
variables that steps read and update, placeholders, control edges, random draws, an assert, marks,
and steps that each fetch another set. Two things are kept out, because stock TensorFlow itself does
not define what they do: a read of a variable that races with its update in the same step, and what
the rest of a step still did when one of its ops failed. So every update waits for all plain reads
of its variable, and a run ends with its first error unless nothing can be half done.
"""

import dataclasses
import random
from typing import Any

import tensorflow as tf

from corpus import marks
from corpus.case import Dataset, Program
from corpus.random_script import RandomScript

tf1 = tf.compat.v1


@dataclasses.dataclass(eq=False)
class Value:
    """A tensor of the graph. sources: of which iterators it is computed (through data)."""

    tensor: Any
    kind: str  # "int", "float", "text"
    vector: bool  # else a scalar; vectors of one source have one length
    sources: frozenset
    training: bool  # depends on a variable or a placeholder: never staged


@dataclasses.dataclass
class RandomProgram:
    program: Program
    config: Any  # the stock ConfigProto of both runs
    options: dict  # of StageOptions: cut, capacity, num_threads, exclude
    text: str  # what was generated, for a failure's message


class Generator:
    """Builds into the current graph. One instance per graph."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.values = []
        self.updates = []  # Value of each update's result
        self.placeholders = []
        self.reads = {}  # variable's name -> (variable, reads that its update must wait for)
        self.updated = {}  # variable's name -> its update's result; later reads wait for it
        self.effects = []  # operations that steps may fetch beside values
        self.iterators = []
        self.draws = 0
        self.asserts = 0
        self.log = []

    def build(self):
        rng = self.rng
        self._sources(rng.choice((1, 1, 1, 2)))
        for _ in range(rng.randint(1, 3)):
            self._variable()
        for _ in range(rng.choice((0, 0, 1, 2))):
            self._placeholder()
        for _ in range(rng.randint(4, 28)):
            self._op()
        for name in list(self.reads):
            self._update(name)
        for _ in range(rng.randint(0, 4)):
            self._op()
        self._marks()
        init = [tf1.global_variables_initializer(), tf1.tables_initializer()]
        init += [it.initializer for it in self.iterators]
        program = Program(init=init, script=self._script())
        config = tf1.ConfigProto()
        if rng.random() < 0.7:  # most of them, to save time
            config.graph_options.rewrite_options.disable_meta_optimizer = True
        options = self._options()
        return RandomProgram(program, config, options, "\n".join(self.log))

    # -- nodes ---------------------------------------------------------------------------------

    def _note(self, tensor, what):
        self.log.append(f"{getattr(tensor, 'name', tensor)}: {what}")

    def _add(self, tensor, kind, vector, inputs, training=False):
        sources = frozenset().union(*(i.sources for i in inputs))
        training = training or any(i.training for i in inputs)
        value = Value(tensor, kind, vector, sources, training)
        self.values.append(value)
        self._note(tensor, tensor.op.type + " of " + ", ".join(i.tensor.name for i in inputs))
        return value

    def _sources(self, count):
        rng = self.rng
        for i in range(count):
            elements, batch = rng.randint(1, 9), rng.randint(1, 4)
            dataset = Dataset.range(
                i * 1000, i * 1000 + elements * batch - rng.randint(0, batch - 1)
            )
            components = rng.choice((1, 1, 2, 3))
            if components > 1:
                dataset = dataset.map(
                    lambda x, n=components: tuple(x * (k + 1) + k for k in range(n))
                )
            if rng.random() < 0.2:
                dataset = dataset.shuffle(7, seed=3, reshuffle_each_iteration=False)
            dataset = dataset.batch(batch)
            iterator = tf1.data.make_initializable_iterator(dataset)
            self.iterators.append(iterator)
            out = iterator.get_next(name=f"next_{i}")
            for tensor in out if isinstance(out, tuple) else (out,):
                self.values.append(Value(tensor, "int", True, frozenset({i}), False))
                self._note(tensor, f"source {i}")

    def _variable(self):
        name = f"v{len(self.reads)}"
        start = self.rng.randint(-3, 3)
        variable = tf1.get_variable(
            name,
            shape=[],
            dtype=tf.int64,
            use_resource=True,
            initializer=tf1.constant_initializer(start),
        )
        self.reads[name] = (variable, [])
        if self.rng.random() < 0.8:
            self._read(name)

    def _read(self, name):
        variable, reads = self.reads[name]
        if name in self.updated:
            with tf.control_dependencies([self.updated[name]]):
                read = variable.read_value()
        else:
            read = variable.read_value()
            reads.append(read)
        self.values.append(Value(read, "int", False, frozenset(), True))
        self._note(read, f"reads {name}")

    def _placeholder(self):
        if self.rng.random() < 0.5:
            fed = tf1.placeholder(tf.int64, [])
        else:
            fed = tf1.placeholder_with_default(tf.constant(4, tf.int64), [])
        self.placeholders.append(fed)
        self.values.append(Value(fed, "int", False, frozenset(), True))
        self._note(fed, "placeholder")

    def _pick(self, kind=None, vector=None):
        """An existing value; newer ones are likelier, so that chains grow."""
        fitting = [
            v
            for v in self.values
            if (kind is None or v.kind == kind) and (vector is None or v.vector == vector)
        ]
        if not fitting:
            return None
        return fitting[-1 - min(int(self.rng.expovariate(0.25)), len(fitting) - 1)]

    def _scalar(self, value):
        """`value` reduced to a scalar number."""
        if value.kind == "text":
            bucket = tf.strings.to_hash_bucket_fast(value.tensor, 101)
            value = self._add(bucket, "int", value.vector, [value])
        if value.kind == "float":
            value = self._add(
                tf.cast(tf.round(value.tensor), tf.int64), "int", value.vector, [value]
            )
        if value.vector:
            value = self._add(tf.reduce_sum(value.tensor, axis=[0]), "int", False, [value])
        return value

    def _op(self):
        rng = self.rng
        make = rng.choices(
            (
                self._unary,
                self._binary,
                self._convert,
                self._reduce,
                self._nested,
                self._draw,
                self._after,
                self._check,
                self._summary,
                self._lookup,
                self._python,
            ),
            (26, 26, 16, 10, 7, 3, 6, 3, 2, 2, 1),
        )[0]
        make()

    def _unary(self):
        rng, value = self.rng, self._pick()
        t = value.tensor
        if value.kind == "int":
            out = rng.choice(
                (
                    tf.negative,
                    tf.square,
                    lambda x: x * 3,
                    lambda x: tf.math.floormod(x, 7),
                    lambda x: tf.maximum(x, 2),
                    tf.identity,
                    tf.abs,
                )
            )(t)
        elif value.kind == "float":
            out = rng.choice(
                (
                    tf.tanh,
                    tf.sqrt if rng.random() < 0.3 else tf.abs,
                    tf.identity,
                    lambda x: x * 0.5,
                    lambda x: x + 1.25,
                )
            )(t)
        else:
            out = rng.choice(
                (
                    tf.strings.upper,
                    lambda x: tf.strings.regex_replace(x, "1", "one"),
                    lambda x: tf.strings.join([x, "!"]),
                    tf.identity,
                )
            )(t)
        if value.vector and value.kind != "text" and rng.random() < 0.2:
            out = rng.choice((lambda x: tf.reverse(x, [0]), tf.cumsum))(out)
        self._add(out, value.kind, value.vector, [value])

    def _binary(self):
        a = self._pick()
        b = self._pick(kind=a.kind)
        if a.vector and b.vector and (a.sources != b.sources or len(a.sources) != 1):
            a, b = self._scalar(a), self._scalar(b)  # of two sources, so of two lengths
        if a.kind == "text":
            if a.vector != b.vector:
                return
            out = tf.strings.join([a.tensor, b.tensor], separator="_")
        else:
            out = self.rng.choice((tf.add, tf.subtract, tf.multiply, tf.maximum))(
                a.tensor, b.tensor
            )
        self._add(out, a.kind, a.vector or b.vector, [a, b])

    def _convert(self):
        value = self._pick()
        if value.kind == "int":
            if self.rng.random() < 0.5:
                self._add(tf.strings.as_string(value.tensor), "text", value.vector, [value])
            else:
                self._add(tf.cast(value.tensor, tf.float32), "float", value.vector, [value])
        elif value.kind == "text":
            if self.rng.random() < 0.5:
                out = tf.strings.to_hash_bucket_fast(value.tensor, 1009)
            else:
                out = tf.cast(tf.strings.length(value.tensor), tf.int64)
            self._add(out, "int", value.vector, [value])
        else:
            # Rounded and bounded first: what a cast makes of larger numbers is not defined.
            small = tf.clip_by_value(tf.round(value.tensor), -1e6, 1e6)
            self._add(
                tf.cast(tf.where(tf.math.is_nan(small), tf.zeros_like(small), small), tf.int64),
                "int",
                value.vector,
                [value],
            )

    def _reduce(self):
        value = self._pick(vector=True)
        if value is None:
            return
        t = value.tensor
        choices = [lambda: tf.size(t, out_type=tf.int64), lambda: tf.shape(t, out_type=tf.int64)[0]]
        kind = "int"
        if value.kind == "int":
            choices += [
                lambda: tf.reduce_max(t, axis=[0]),
                lambda: tf.size(tf.unique(t)[0], tf.int64),
                lambda: tf.reduce_sum(tf.boolean_mask(t, t > 3), axis=[0]),
            ]
        elif value.kind == "text":
            kind = "text" if self.rng.random() < 0.5 else "int"
            choices = [lambda: tf.strings.reduce_join(t, axis=0)] if kind == "text" else choices
        self._add(self.rng.choice(choices)(), kind, False, [value])

    def _nested(self):
        """A conditional, a loop or a call around an op on a scalar; some read a variable inside."""
        x = self._scalar(self._pick())
        training = False
        inside = lambda v: v * 2 + 1  # noqa: E731
        if self.rng.random() < 0.25:
            name = self.rng.choice(list(self.reads))
            self._read(name)
            read = self.values[-1].tensor
            inside, training = (lambda v: v + read), True
        shape = self.rng.randrange(3)
        if shape == 0:
            out = tf.cond(x.tensor % 2 > 0, lambda: inside(x.tensor), lambda: x.tensor - 5)
        elif shape == 1:
            out = tf.while_loop(
                lambda i, v: i < tf.math.floormod(x.tensor, 4),
                lambda i, v: (i + 1, inside(v)),
                [tf.constant(0, tf.int64), x.tensor],
            )[1]
        else:
            out = tf.function(inside)(x.tensor)
        self._add(out, "int", False, [x], training=training)

    def _draw(self):
        """Seeded noise added to data of which every step takes an element (see _script)."""
        value = self._pick(kind="float")
        if value is None or not value.sources:
            return
        self.draws += 1
        noise = tf.raw_ops.RandomUniform(
            shape=tf.constant([], tf.int32), dtype=tf.float32, seed=self.draws, seed2=self.draws + 5
        )
        self._add(value.tensor + noise, "float", value.vector, [value])

    def _after(self):
        """An op that waits for another one: a staged one, a read, an update."""
        before, value = self._pick(), self._pick()
        with tf.control_dependencies([before.tensor]):
            out = self._add(tf.identity(value.tensor), value.kind, value.vector, [value])
        out.sources |= before.sources
        # What the edge brings along belongs to the value, as far as steps are concerned.
        out.training |= before.training
        self._note(out.tensor, f"waits for {before.tensor.name}")

    def _check(self):
        """At most one: of two that fail in one step either may be the one that is reported."""
        value = self._scalar(self._pick())
        if self.asserts or not value.sources:
            return
        self.asserts += 1
        bound = self.rng.choice((10**15, 10**15, 50, 400))
        holds = tf.less(tf.abs(value.tensor), tf.constant(bound, tf.int64))
        check = tf.raw_ops.Assert(condition=holds, data=[value.tensor], summarize=3)
        self._note(check, f"assert of {value.tensor.name} < {bound}")
        with tf.control_dependencies([check]):
            self._add(tf.identity(value.tensor), "int", False, [value])

    def _summary(self):
        value = self._scalar(self._pick())
        summary = tf1.summary.scalar(f"s{len(self.effects)}", value.tensor)
        self.effects.append(Value(summary, "text", False, value.sources, True))
        self._note(summary, f"summary of {value.tensor.name}")

    def _lookup(self):
        value = self._scalar(self._pick())
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.range(5, dtype=tf.int64), tf.range(5, dtype=tf.int64) * 11
            ),
            -1,
        )
        self._add(table.lookup(tf.math.floormod(value.tensor, 7)), "int", False, [value])

    def _python(self):
        value = self._scalar(self._pick())
        out = tf1.py_func(lambda x: x + 1, [value.tensor], tf.int64)
        out.set_shape([])
        self._add(out, "int", False, [value], training=True)

    def _update(self, name):
        """name += a signal, after all plain reads of it; what reads it afterwards sees the sum."""
        variable, reads = self.reads[name]
        signal = self._scalar(self._pick())
        with tf.control_dependencies(reads):
            after = tf.identity(variable.assign_add(tf.math.floormod(signal.tensor, 1_000_003)))
        self.updated[name] = after
        value = self._add(after, "int", False, [signal], training=True)
        self.updates.append(value)
        self._note(after, f"updates {name}")

    # -- what the user names -------------------------------------------------------------------

    def _marks(self):
        rng = self.rng
        if rng.random() < 0.15:
            value = rng.choice(self.values)
            marks.mark_target(value.tensor)
            self._note(value.tensor, "marked as target")
        self.kept = []
        if rng.random() < 0.2:
            value = rng.choice([v for v in self.values if v.sources])
            marks.keep(value.tensor)
            self.kept.append(value)
            self._note(value.tensor, "kept")

    def _options(self):
        rng = self.rng
        options = {
            "cut": rng.choice(("largest", "auto")),
            "capacity": rng.choice((1, 2, 8, 0, -1)),
            "num_threads": rng.choice((1, 4, -1)),
        }
        if rng.random() < 0.15:
            options["exclude"] = [rng.choice(self.values).tensor.op.name]
        self.log.append(f"options {options}")
        return options

    # -- steps ---------------------------------------------------------------------------------

    def _fetchable(self):
        """Values that keep their name whatever the cut: of training, kept, or the only output of a
        node that nobody consumes."""
        return [
            v
            for v in self.values + self.effects
            if v.training
            or v in self.kept
            or (len(v.tensor.op.outputs) == 1 and not v.tensor.consumers())
        ]

    def _script(self):
        rng = self.rng
        fetchable = self._fetchable()
        everything = [v.tensor for v in fetchable]
        sinks = [v for v in self.values if not v.tensor.consumers()]
        if self.draws:  # else a step might not make every draw
            sets = [[v.tensor for v in sinks if v in fetchable] + [v.tensor for v in self.updates]]
        else:
            sets = [
                rng.sample(everything, min(len(everything), rng.randint(1, 4)))
                for _ in range(rng.randint(1, 4))
            ]
        steps = [(rng.choice(sets), self._feeds()) for _ in range(rng.randint(4, 16))]
        variables = [variable.read_value() for variable, _ in self.reads.values()]
        iterator = self.iterators[0] if len(self.iterators) == 1 else None
        whole = not self.draws and not self.asserts and all(u.sources for u in self.updates)
        return RandomScript(steps, variables, iterator if whole else None)

    def _feeds(self):
        rng = self.rng
        feeds = {p: rng.randint(-9, 9) for p in self.placeholders}
        for value in self.kept:
            if value.kind == "int" and not value.vector and not self.draws and rng.random() < 0.3:
                feeds[value.tensor] = rng.randint(-9, 9)
        return feeds


def build(seed):
    """The RandomProgram of `seed`, in the current graph."""
    return Generator(seed).build()
