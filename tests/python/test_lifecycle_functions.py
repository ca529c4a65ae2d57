"""Traced functions and eager code that take from one iterator."""

from corpus.sessions import in_process

# Both traces of one function, and the plain path, on one iterator; each prints what it took.
_ALTERNATE = """
    import json, sys
    import tensorflow as tf
    import headrace
    tf1 = tf.compat.v1
    config = tf1.ConfigProto()
    if sys.argv[1] == "staged":
        headrace.configure(config, headrace.StageOptions(cut="largest", capacity=2))
    tf1.disable_eager_execution()  # else TensorFlow 2 takes no options for its eager context
    tf1.enable_eager_execution(config=config)

    v = tf.Variable(tf.zeros([10], tf.int64))

    @tf.function
    def step(it, flag):
        x = next(it)
        y = tf.strings.to_number(tf.strings.as_string(x), tf.int64)
        r = y + v.read_value()[0]
        return r if flag else r + 1000

    it = iter(tf.data.Dataset.range(1000))
    first = [int(step(it, k % 3 != 2)) for k in range(9)]
    it = iter(tf.data.Dataset.range(1000))
    mixed = []
    for _ in range(5):
        mixed += [int(step(it, True)), int(next(it)), int(step(it, False)), int(next(it))]
    it = iter(tf.data.Dataset.range(7))
    end = []
    while True:
        try:
            end.append(int(step(it, True)))
        except tf.errors.OutOfRangeError:
            end.append("end")
            break
    two = [iter(tf.data.Dataset.range(500)), iter(tf.data.Dataset.range(500, 1000))]
    apart = [int(step(two[k % 2], True)) for k in range(10)]
    stages = [stage["name"] for stage in headrace.stats() if stage["taken"] > 0]
    print(json.dumps([[first, mixed, end, apart], len(stages)]))
    """

_EXPECTED = [
    [0, 1, 1002, 3, 4, 1005, 6, 7, 1008],
    [v + (1000 if v % 4 == 2 else 0) for v in range(20)],
    [0, 1, 2, 3, 4, 5, 6, "end"],
    [0, 500, 1, 501, 2, 502, 3, 503, 4, 504],
]


def _run(mode):
    import json  # pylint: disable=import-outside-toplevel

    return json.loads(in_process(_ALTERNATE, mode).stdout.splitlines()[-1])


def test_two_functions_and_the_unstaged_path_on_one_iterator():
    assert _run("unstaged") == [_EXPECTED, 0]
    values, stages = _run("staged")
    assert values == _EXPECTED and stages > 0


def test_iterator_of_a_function_is_garbage_collected():
    """Dropping the iterator ends its source's thread."""
    done = in_process("""
        import gc
        import tensorflow as tf
        import headrace
        from corpus.sessions import stage_threads
        from corpus.waiting import wait_until
        tf1 = tf.compat.v1
        tf1.disable_eager_execution()
        tf1.enable_eager_execution(config=headrace.configure(
            tf1.ConfigProto(), headrace.StageOptions(cut="largest")))

        @tf.function
        def step(it):
            return tf.strings.as_string(next(it))

        for _ in range(5):
            it = iter(tf.data.Dataset.range(100))
            assert [step(it).numpy() for _ in range(3)] == [b"0", b"1", b"2"]
            assert "hr-read" in stage_threads()
            del it
            gc.collect()
        wait_until(lambda: not [n for n in stage_threads() if n == "hr-read"], "readers to end")
        print("ended")
        """)
    assert done.stdout.split() == ["ended"]
