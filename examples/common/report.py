"""What a comparison found, for people and for tools."""

import dataclasses
import statistics

from examples.common.contenders import terms

VERSION = 1  # of the JSON


@dataclasses.dataclass
class Result:
    """settings: what was asked for. turns: Turns that have run. checks: name -> passed.

    plan, stats: of the staged contender (see staging.py), or None.
    extra: what else the JSON holds.
    """

    settings: dict
    turns: object
    checks: dict
    plan: dict | None
    stats: list | None
    extra: dict = dataclasses.field(default_factory=dict)

    def _ms(self, name):
        """Milliseconds per step, one a turn."""
        return [1e3 * s.seconds / s.steps for s in self.turns.segments[name]]

    def _terms(self):
        return [terms({name: runs[i] for name, runs in self.turns.segments.items()}, cores)
                for i, cores in enumerate(self.turns.cores)]

    def as_json(self):
        """The whole result; times in milliseconds, medians over the turns."""
        median = statistics.median
        threads = self.turns.staging.num_threads
        all_terms = self._terms()
        limits = [1e3 * t.limit(threads) for t in all_terms]
        binding = statistics.mode(t.binding(threads) for t in all_terms)
        names = all_terms[0].parts(threads)
        contenders = {}
        for name in self.turns.losses:
            ms, losses = self._ms(name), self.turns.losses[name]
            contenders[name] = {
                "ms_per_step": median(ms), "steps_per_second": 1e3 / median(ms),
                "fastest_turn_ms": min(ms), "slowest_turn_ms": max(ms), "steps": len(losses),
                "first_loss": float(losses[0]), "last_loss": float(losses[-1]),
                "limit_over_step": median(limit / own for limit, own in zip(limits, ms))}
            if "unstaged" in self.turns.losses:
                contenders[name]["speedup"] = median(
                    base / own for base, own in zip(self._ms("unstaged"), ms))
        return {
            "version": VERSION, "settings": self.settings, "contenders": contenders,
            "limit": {"ms_per_step": median(limits), "steps_per_second": 1e3 / median(limits),
                      "bound_by": binding, "effective_cores": median(self.turns.cores),
                      "parts_ms": {name: 1e3 * median(t.parts(threads)[name] for t in all_terms)
                                   for name in names}},
            "checks": self.checks, "plan": self.plan, "stats": self.stats, **self.extra}

    def as_text(self):
        """The same for people."""
        result = self.as_json()
        lines = ["", f"{'':10}{'steps/s':>9}{'ms/step':>10}   {'turns, ms':17}{'vs unstaged':>12}"]
        for name, c in result["contenders"].items():
            turns = f"{c['fastest_turn_ms']:.2f} to {c['slowest_turn_ms']:.2f}"
            gain = f"{c['speedup']:.3f}x" if "speedup" in c else ""
            lines.append(f"{name:10}{c['steps_per_second']:9.2f}{c['ms_per_step']:10.2f}   "
                         f"{turns:17}{gain:>12}")
        limit = result["limit"]
        lines.append(f"{'limit':10}{limit['steps_per_second']:9.2f}{limit['ms_per_step']:10.2f}   "
                     f"set by: {limit['bound_by']}")
        if any(c["limit_over_step"] > 1.02 for c in result["contenders"].values()):
            lines.append("  (a contender was faster than this limit: too few or too uneven steps to "
                         "measure it)")
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in limit["parts_ms"].items())
        lines.append(f"  parts alone, ms/step: {parts}; "
                     f"{limit['effective_cores']:.2f} effective cores")
        lines.append("")
        lines += [_losses_line(result)]
        if self.plan is not None:
            lines += ["", self.plan["summary"]]
        lines += [_wait_line(figures) for figures in self.stats or []]
        compared = len(result["contenders"]) > 1
        lines += ["", "checks: " + ", ".join(
            f"{name.replace('_', ' ')}: "
            + ("not compared" if name == "losses_equal" and not compared
               else "yes" if passed else "NO")
            for name, passed in self.checks.items())]
        return "\n".join(lines)


def _losses_line(result):
    contenders = result["contenders"]
    first = next(iter(contenders.values()))
    span = f"{first['first_loss']:.4f} to {first['last_loss']:.4f} in {first['steps']} steps, untimed ones included"
    if len(contenders) == 1:
        return f"losses: {span}"
    equal = result["checks"]["losses_equal"]
    return f"losses: {span}; {' and '.join(contenders)} " + (
        "are equal bit for bit" if equal else "DIFFER")


def _wait_line(figures):
    ms = figures["consumer_wait_us"] / 1e3 / max(1, figures["taken"])
    return f"stage '{figures['name']}': {figures['taken']} steps, {ms:.3f} ms waited for each"
