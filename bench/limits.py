"""What a round's parts allow: the limit of a staged step, what sets it, and how much of it is reached."""

from bench.intervals import over
from examples.common.contenders import terms


def found(rounds, contenders, threads):
    """Part of a row, for JSON. The parts of contenders.PARTS must have run in every round.

    contenders: names whose share of the limit is told; "unstaged" is one. threads: that prepare batches.

    "ms", "cpu_ms": by contender and part; "limit_ms"; "terms_ms": the limit's four terms; "bound_by": the
    term that set it in most rounds; "cores"; "of_limit": limit over step, by contender; "speedup": unstaged
    step over step, by other contender, and over the "limit".
    """
    def limit(r):
        return terms(r.segments, r.cores).limit(threads)

    def term(r, part):
        return terms(r.segments, r.cores).parts(threads)[part]

    names = list(rounds[0].segments)
    binding = [terms(r.segments, r.cores).binding(threads) for r in rounds]
    parts = terms(rounds[0].segments, rounds[0].cores).parts(threads)
    return {
        "threads": threads,
        "ms": {n: over(rounds, lambda r, n=n: 1e3 * r.seconds(n)).as_json() for n in names},
        "cpu_ms": {n: over(rounds, lambda r, n=n: 1e3 * r.cpu_seconds(n)).as_json() for n in names},
        "limit_ms": over(rounds, lambda r: 1e3 * limit(r)).as_json(),
        "terms_ms": {p: over(rounds, lambda r, p=p: 1e3 * term(r, p)).as_json() for p in parts},
        "bound_by": max(sorted(set(binding)), key=binding.count),
        "cores": over(rounds, lambda r: r.cores).as_json(),
        "of_limit": {n: over(rounds, lambda r, n=n: limit(r) / r.seconds(n)).as_json() for n in contenders},
        "speedup": {n: ratio(rounds, "unstaged", n).as_json() for n in contenders if n != "unstaged"}
        | {"limit": over(rounds, lambda r: r.seconds("unstaged") / limit(r)).as_json()},
    }


def ratio(rounds, over_this, this):
    """Estimate of how many times as long a step of `over_this` takes as one of `this`."""
    return over(rounds, lambda r: r.seconds(over_this) / r.seconds(this))
