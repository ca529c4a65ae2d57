"""Stages in clusters whose servers did not know each other when they booted."""

import json

from corpus.sessions import in_process

_CLUSTER = """
    import json, os, socket, subprocess, sys
    import tensorflow as tf
    import headrace
    from corpus.sessions import staged_config
    tf1 = tf.compat.v1
    tf1.disable_eager_execution()

    def free_port():
        with socket.socket() as s:
            s.bind(("localhost", 0))
            return "localhost:%d" % s.getsockname()[1]

    def serve(*where):
        code = ("import sys, tensorflow as tf\\n"
                "s = tf.compat.v1.train.Server({sys.argv[1]: [sys.argv[2]]}, sys.argv[1], 0)\\n"
                "print('up', flush=True)\\n"
                "sys.stdin.read()\\n")
        process = subprocess.Popen([sys.executable, "-c", code, *where], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline().strip() == "up"
        return process
    """

_RECIPE = (
    _CLUSTER
    + """
    # Every server boots under a private job name; a session names the parameter server and its
    # own worker only. Two such workers, one after the other, add to one variable.
    staged, shared = sys.argv[1] == "staged", sys.argv[2] == "shared"
    at_ps = free_port()
    ps = serve("boot_ps", at_ps)

    def work(task, initialize):
        at_worker = free_port()
        server = tf1.train.Server({"boot_w%d" % task: [at_worker]}, "boot_w%d" % task, 0)
        cluster = tf.train.ClusterSpec({"ps": [at_ps], "worker": {task: at_worker}})
        config = tf1.ConfigProto(cluster_def=cluster.as_cluster_def())
        config.experimental.share_session_state_in_clusterspec_propagation = shared
        if staged:
            config = staged_config(config)
        with tf.Graph().as_default() as graph:
            with tf1.device("/job:ps/task:0"):
                v = tf1.get_variable("v", shape=[], dtype=tf.int64, use_resource=True,
                                     initializer=tf1.zeros_initializer())
            with tf1.device("/job:worker/task:%d" % task):
                iterator = tf1.data.make_initializable_iterator(tf1.data.Dataset.range(12))
                x = tf.negative(iterator.get_next(name="next"), name="neg")
            with tf1.device("/job:ps/task:0"):
                up = tf.identity(v.assign_add(x))
        seen, taken = [], []
        with tf1.Session(server.target, graph=graph, config=config) as session:
            session.run([v.initializer] * initialize + [iterator.initializer])
            try:
                while True:
                    seen.append(int(session.run(up)))
                    taken = [f["taken"] for f in headrace.stats(session)] if staged else []
            except tf.errors.OutOfRangeError:
                seen.append("end")
            except tf.errors.OpError as error:
                seen.append(type(error).__name__)
        return seen, taken

    try:
        print(json.dumps([work(0, True), work(7, False)]), flush=True)
    finally:
        ps.kill()
    os._exit(0)
    """
)


def _two_workers(*arguments):
    return json.loads(in_process(_RECIPE, *arguments).stdout.splitlines()[-1])


def test_e16_to_e18_parameter_server_that_did_not_know_the_workers():
    """The stages run in the workers; the variable lives on a server that booted without them."""
    first = [-sum(range(k + 1)) for k in range(12)] + ["end"]
    second = [-66 + v for v in first[:-1]] + ["end"]
    assert _two_workers("plain", "shared") == [[first, []], [second, []]]
    assert _two_workers("staged", "shared") == [[first, [12]], [second, [12]]]


def test_e17_without_sharing_the_second_worker_finds_no_variable():
    """As measured without Headrace, and no other with it."""
    plain, staged = _two_workers("plain", "apart"), _two_workers("staged", "apart")
    assert plain[1][0] == staged[1][0]
    assert plain[1][0][-1] != "end"


_ABSENT = (
    _CLUSTER
    + """
    at_ps, at_worker, nobody = free_port(), free_port(), free_port()
    cluster = {"ps": [at_ps], "worker": [at_worker, nobody]}
    ps = tf1.train.Server(cluster, "ps", 0)
    worker = tf1.train.Server(cluster, "worker", 0)
    with tf1.device("/job:worker/task:0"):
        iterator = tf1.data.make_initializable_iterator(tf1.data.Dataset.range(5))
        x = tf.strings.as_string(iterator.get_next(name="next"), name="text")
    config = staged_config(tf1.ConfigProto(device_filters=["/job:ps", "/job:worker/task:0"]))
    with tf1.Session(worker.target, config=config) as session:
        session.run(iterator.initializer)
        print(json.dumps([session.run(x).decode() for _ in range(5)]), flush=True)
    os._exit(0)
    """
)


def test_e15_absent_worker_is_filtered_out():
    assert json.loads(in_process(_ABSENT).stdout.splitlines()[-1]) == ["0", "1", "2", "3", "4"]


def test_e20_stock_server_listens_on_all_interfaces():
    """A fact that the documents warn of: the address that a server is given binds nothing."""
    done = in_process("""
        import socket
        import tensorflow as tf
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        server = tf.compat.v1.train.Server({"w": ["127.0.0.1:%d" % port]}, "w", 0)
        for name in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in open(name).read().splitlines()[1:]:
                address, at = line.split()[1].split(":")
                if int(at, 16) == port and line.split()[3] == "0A":  # listens
                    print(set(address))
        """)
    assert done.stdout.splitlines() == ["{'0'}"]
