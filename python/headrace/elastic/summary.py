"""What a job came to: for tools as one JSON object (docs/formats.md, "Summary"), for people as lines."""

import json
import os

VERSION = 1
COLUMNS = ("total", "get_batch", "input_fn", "compute_loss", "get_model", "report_gradient")
MOST_RANGES = 6  # that are named in a line for people
MOST_BAD = 20  # records in quarantine that are named, a line each


def make(flags, directory, status, ledger, exit_code, predictions=(), job_type=None) -> dict:
    """status, ledger: the master's last words (headrace-ctl); ledger may be None if there is none.

    job_type: where the flags do not say it.
    """
    ledger = ledger or {}
    files = ledger.get("files", [])
    totals = ledger.get("totals") or (status or {}).get("totals") or {}
    job_type = job_type or flags.type
    return {
        "version": VERSION,
        "job_name": flags.job_name,
        "job_type": job_type,
        "verdict": _verdict(exit_code),
        "exit_code": exit_code,
        "failure": (status or {}).get("failure", ""),
        "error_code": "",
        "records": _numbers(totals),
        "epochs": _epochs(files),
        "possibly_repeated": _ranges(files, "possibly_repeated"),
        "trained_before_rewind": _ranges(files, "trained_before_rewind"),
        "quarantined": [_quarantined(entry) for entry in ledger.get("quarantine", [])],
        "steps": int((status or {}).get("step", 0)),
        "loss": _loss(status),
        "handed_out": _handed_out(status) if (status or {}).get("own_program") else None,
        "rewinds": [
            {"step": int(rewind["step"]), "pause_s": int(rewind["pause_ms"]) / 1000}
            for rewind in (status or {}).get("rewinds", [])
        ],
        "metrics": _metrics(status, job_type),
        "time_table": _time_table(status, flags.servers > 0),
        "running_s": int((status or {}).get("running_ms", 0)) / 1000,
        "model": (status or {}).get("model", "") if flags.verb == "train" else "",
        "checkpoint": (status or {}).get("last_checkpoint", ""),
        "predictions": list(predictions),
        "ledger": f"{directory}/ledger.sqlite",
        "job_dir": directory,
    }


def failed(flags, directory, error, exit_code) -> dict:
    """Of a job that never began, or whose command gave up.

    directory: the job's, "" if it has none. error: the HeadraceError; None: the user stopped it.
    """
    made = make(flags, directory, None, None, exit_code)
    if exit_code == 2 or not os.path.isfile(made["ledger"]):  # 2: of another job, if it is there
        made["ledger"] = ""
    if error is None:
        return made
    return made | {"failure": error.message, "error_code": error.code}


def _verdict(exit_code):
    return {0: "done", 3: "done-with-quarantined", 75: "stopped"}.get(exit_code, "failed")


def _numbers(totals):
    names = ("records", "trained", "filtered", "quarantined", "pending", "possibly_repeated")
    numbers = {name: int(totals.get(name, 0)) for name in names}
    numbers["trained_before_rewind"] = int(totals.get("trained_before_rewind", 0))
    # Of --validation_data, beside a training: none of `records`.
    numbers["quarantined_in_evaluation"] = int(totals.get("quarantined_in_evaluation", 0))
    numbers["quarantined"] += numbers["quarantined_in_evaluation"]
    numbers["dropped"] = {op: int(count) for op, count in totals.get("dropped", {}).items()}
    return numbers


def _epochs(files):
    epochs = {}
    for file in files:
        epoch = epochs.setdefault(int(file["epoch"]), {"expected": 0, "trained": 0, "filtered": 0})
        epoch["expected"] += int(file["records"])
        for name in ("trained", "filtered", "quarantined", "pending"):
            epoch[name] = epoch.get(name, 0) + int(file[name])
        epoch["dropped"] = epoch.get("dropped", 0) + sum(map(int, file.get("dropped", {}).values()))
    return [{"epoch": number, **epoch} for number, epoch in sorted(epochs.items())]


def _quarantined(entry):
    offset = int(entry.get("offset", -1))
    return {
        "path": entry["path"],
        "record": int(entry["index"]),
        "offset": offset if offset >= 0 else None,
        "epoch": int(entry["epoch"]),
        "evaluation": bool(entry.get("evaluation", False)),
        "error": entry["error"],
    }


def _ranges(files, key):
    return [
        {
            "path": file["path"],
            "epoch": int(file["epoch"]),
            "ranges": [[int(r.get("begin", 0)), int(r["end"])] for r in file[key]],
        }
        for file in files
        if file.get(key)
    ]


def _workers(status):
    return [w for w in (status or {}).get("workers", []) if w.get("telemetry")]


def _loss(status):
    """Of the last steps; a program of one's own has its own."""
    if (status or {}).get("own_program"):
        return None
    losses = [float(w["telemetry"]["loss"]) for w in _workers(status) if int(w["telemetry"]["steps"])]
    return sum(losses) / len(losses) if losses else None


def _handed_out(status):
    """To the last program of each worker."""
    return sum(int(worker["telemetry"].get("handed_out", 0)) for worker in _workers(status))


def _metrics(status, job_type):
    """[{"step", "values"}], in order. step: None where it is not known of the model that was given."""
    rounds = {}
    for metric in (status or {}).get("metrics", []):
        step = int(metric["step"])
        known = step if step or job_type != "evaluation-only" else None
        entry = rounds.setdefault(int(metric["round"]), {"step": known, "values": {}})
        entry["values"][metric["name"]] = float(metric["value"])
    return [rounds[number] for number in sorted(rounds)]


def _time_table(status, on_servers):
    """{column: {"busy_s", "waited_s"}} over all workers; `total` is all of a worker's time.

    With parameter servers `get_model` and `report_gradient` are None: they are within `compute_loss`, for one
    call of the session reads the model, computes, and sends the gradients, all of it overlapping.
    """
    table = {name: {"busy_s": 0.0, "waited_s": 0.0} for name in COLUMNS}
    if on_servers:
        table |= {"get_model": None, "report_gradient": None}
    for worker in _workers(status):
        for time in worker["telemetry"].get("times", []):
            column = table.setdefault(time["name"], {"busy_s": 0.0, "waited_s": 0.0})
            column["busy_s"] += float(time["busy_s"])
            column["waited_s"] += float(time["waited_s"])
    return table


def print_text(summary, echo):
    """For people, by echo(line)."""
    table = summary["time_table"]
    if table["total"]["busy_s"] > 0:  # programs of one's own keep their own time
        _print_table(table, echo)
    if summary["loss"] is not None and summary["job_type"].startswith("training"):
        echo(f"steps: {summary['steps']}, loss of the last one {summary['loss']:.4f}")
    for entry in summary["metrics"]:
        values = ", ".join(f"{name} {value:.4f}" for name, value in sorted(entry["values"].items()))
        at = "" if entry["step"] is None else f" at step {entry['step']}"
        echo(f"evaluation{at}: {values}")
    echo(coverage(summary))
    for entry in summary["quarantined"][:MOST_BAD]:
        at = "" if entry["offset"] is None else f" at byte {entry['offset']}"
        during = ", in evaluation" if entry["evaluation"] else ""
        error = entry["error"].splitlines()[0]
        echo(f"quarantined: {entry['path']} record {entry['record']}{at}{during}: {error}")
    more = len(summary["quarantined"]) - MOST_BAD
    if more > 0:
        echo(f"quarantined: and {more} more (headrace ledger --all names them)")
    own = summary["handed_out"] is not None
    if own and summary["handed_out"] and not summary["records"]["trained"]:
        echo(
            f"handed out: {summary['handed_out']} records, of which none was committed: say "
            "headrace.data.commit(batch) when a batch is trained, or give fit() a headrace.data.CommitCallback()"
        )
    repeated = "given to a program that ended before it committed them: handed out again, so possibly used twice"
    for key, words in (
        ("possibly_repeated", repeated if own else "possibly trained more than once"),
        ("trained_before_rewind", "trained again after going back to a checkpoint"),
    ):
        for entry in summary[key]:
            echo(f"{entry['path']}, epoch {entry['epoch'] + 1}: {_named(entry['ranges'])} {words}")
    for entry in summary["rewinds"]:
        echo(
            f"the model was lost, and went back to step {entry['step']}: nothing was trained for "
            f"{entry['pause_s']:.1f} s"
        )
    if summary["failure"]:
        echo(f"failed: {summary['failure']}")
    if summary["model"]:
        echo(f"model: {summary['model']}")
    for path in summary["predictions"]:
        echo(f"predictions: {path}")
    if summary["verdict"] == "stopped" and summary["ledger"]:
        echo(_how_to_go_on(summary))


def _how_to_go_on(summary):
    """Of a job of this machine."""
    begins = f", from {summary['checkpoint']}" if summary["checkpoint"] else ""
    if not begins and summary["steps"]:
        begins = "; the model begins anew, as it has no checkpoints (--checkpoint_steps)"
    return f"stopped: the same command with --resume --job_name {summary['job_name']} goes on{begins}"


def _print_table(table, echo):
    echo("")
    echo(f"{'seconds':<10}" + "".join(f"{name:>17}" for name in table))
    for key in ("busy", "waited"):
        echo(f"{key:<10}" + "".join(f"{_seconds(table[name], key):>17}" for name in table))
    echo(_how_it_adds_up(table))
    echo("")


def _how_it_adds_up(table):
    """What the training processes' time went into; the columns of the input part overlap with it."""
    total, computing = round(table["total"]["busy_s"], 1), round(table["compute_loss"]["busy_s"], 1)
    waited = round(sum(column["waited_s"] for column in table.values() if column), 1)
    other = max(total - computing - waited, 0.0)
    return (
        f"total {total:.1f} = compute_loss {computing:.1f} + waited {waited:.1f} + other {other:.1f} (evaluation, "
        "checkpoints, waits for others); get_batch and input_fn are busy at the same time, on threads of their own"
    )


def _seconds(column, key):
    return f"{column[key + '_s']:.1f}" if column else "in compute_loss"


def _named(ranges):
    """The records of [begin, end) ranges; where they are many, the first ones and how many."""
    count = sum(end - begin for begin, end in ranges)
    named = [f"{b}" if e == b + 1 else f"{b} to {e - 1}" for b, e in ranges[:MOST_RANGES]]
    more = f" and more (headrace ledger --all names all {count})" if len(ranges) > MOST_RANGES else ""
    return f"record{'s' if count > 1 else ''} {', '.join(named)}{more}"


def coverage(summary) -> str:
    """One line: what became of the records."""
    records = summary["records"]
    own = summary["handed_out"] is not None
    verb = {"evaluation-only": "evaluated", "prediction-only": "predicted"}.get(
        summary["job_type"], "committed" if own else "trained"
    )
    parts = [f"{records['trained']} {verb}"]
    parts += [f"{records['filtered']} filtered"] if records["filtered"] else []
    parts += [f"{count} dropped by {op}" for op, count in sorted(records["dropped"].items())]
    elsewhere = records["quarantined_in_evaluation"]
    quarantined = records["quarantined"] - elsewhere
    parts += [f"{quarantined} quarantined"] if quarantined else []
    parts += [f"{records['pending']} not {'committed' if own else 'reached'}"] if records["pending"] else []
    evaluation = f"; of the validation data {elsewhere} quarantined" if elsewhere else ""
    return f"coverage: of {records['records']} records " + ", ".join(parts) + evaluation


def print_json(summary, echo):
    echo(json.dumps(summary))
