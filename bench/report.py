"""Results as JSON, Markdown tables and pictures; RESULTS.md of all results that are there."""

import json
import pathlib

VERSION = 2


class ReportError(RuntimeError):
    """A file of results that cannot be read, with what to do."""


def as_json(name, mode, machine, sizes, seed, rows):
    """mode: "quick" or "full". Each row has "goal" (None, a number, or {what: met}) and "met" (None,
    bool)."""
    return {"version": VERSION, "benchmark": name, "mode": mode, "machine": machine, "sizes": sizes,
            "seed": seed, "rows": rows}


def read(path):
    """A result. Errors: ReportError."""
    path = pathlib.Path(path)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        version = result["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"{path}: no result of a benchmark ({error!r}): measure it again") from error
    if version != VERSION:
        raise ReportError(f"{path}: version {version}, this is {VERSION}: measure it again "
                          f"(headrace bench {path.stem})")
    return result


def interval(estimate, digits=2):
    """Text of an Estimate's JSON: the median and its 95% interval."""
    return "{median:.{d}f} ({low:.{d}f} to {high:.{d}f})".format(d=digits, **estimate)


def bars(axes, places, estimates, width, **how):
    """Draws JSON of Estimates as bars of that width, with their intervals. how: of Axes.bar()."""
    axes.bar(places, [e["median"] for e in estimates], width, capsize=2, **how,
             yerr=[[e["median"] - e["low"] for e in estimates], [e["high"] - e["median"] for e in estimates]])


def legend_above(axes):
    """Draws the legend in a row of its own above the bars."""
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
    axes.legend(ncols=4, loc="upper right")


def table(columns, rows):
    """Markdown. columns: (heading, row -> text); a last column says whether the goal was met."""
    return _plain_table(*texts(columns, rows))


def texts(columns, rows):
    """(headings, a list of texts for each row) of such a table."""
    columns = [*columns, ("goal", _verdict)]
    return [heading for heading, _ in columns], [[text(row) for _, text in columns] for row in rows]


def _plain_table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(texts) + " |" for texts in rows])


def _verdict(row):
    goal = row["goal"]
    if goal is None:
        return ""
    goals = goal if isinstance(goal, dict) else {f"{goal:g}": row["met"]}
    return ", ".join(f"{what}: {'met' if met else 'missed'}" for what, met in goals.items())


def missed(result):
    """Whether a row missed its goal."""
    return any(row["met"] is False for row in result["rows"])


def markdown(result, module, level=1):
    """A heading, the question, what it was measured on and with, the table."""
    machine = result["machine"]
    commit = machine["commit"][:12] + (" with changes" if machine["uncommitted_changes"] else "")
    lines = [
        "#" * level + f" {result['benchmark']}", "", module.QUESTION, "", f"    {machine['command']}", "",
        f"{machine['started']}, commit {commit}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory']}, {machine['system']}; load before the run "
        f"{machine['load_average'][0]:.2f}; Python {machine['python']}, TensorFlow "
        f"{machine['tensorflow']}, Headrace {machine['headrace'] or 'not installed'}.", "",
        f"{result['mode'].capitalize()} run; medians over {_rounds(result['rows'])} rounds.", "",
        table(module.COLUMNS, result["rows"]), ""]
    for columns, details in getattr(module, "details", lambda rows: [])(result["rows"]):
        lines += [_plain_table(columns, details), ""]
    notes = getattr(module, "notes", lambda rows: [])(result["rows"])
    if notes:
        lines += [*(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def _rounds(rows):
    """How many each estimate is of: "9", or "3 to 9" where they differ."""
    counts = set()

    def visit(value):
        if isinstance(value, dict):
            if isinstance(value.get("rounds"), list):
                counts.add(len(value["rounds"]))
            for inner in value.values():
                visit(inner)

    for row in rows:
        visit(row)
    return " to ".join(map(str, sorted({min(counts), max(counts)}))) if counts else "no"


def picture(result, module, path):
    """Draws a result's picture into the PNG `path`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=getattr(module, "FIGURE_SIZE", (7, 4.2)), layout="constrained")
    module.draw(result["rows"], axes)
    machine = result["machine"]
    axes.set_title(f"{result['benchmark']}, {result['mode']} run: {machine['cpu']}, {machine['cores']} "
                   f"cores, TensorFlow {machine['tensorflow']}, commit {machine['commit'][:9]}", fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


class Folder:
    """Where results are: RESULTS.md, results/NAME.json and NAME.md, and the folder of pictures."""

    def __init__(self, out, figures=None):
        self.out = pathlib.Path(out)
        self.results = self.out / "results"
        self.figures = pathlib.Path(figures) if figures else self.out / "figures"

    def write(self, result, module):
        """Writes a result with its table and picture; returns the paths."""
        self.results.mkdir(parents=True, exist_ok=True)
        path = self.results / f"{result['benchmark']}.json"
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        return [path, *self._show(result, module)]

    def _show(self, result, module):
        self.figures.mkdir(parents=True, exist_ok=True)
        paths = [self.results / f"{result['benchmark']}.md", self.figures / f"{result['benchmark']}.png"]
        paths[0].write_text(markdown(result, module), encoding="utf-8")
        picture(result, module, paths[1])
        return paths

    def show_again(self, modules):
        """Writes the tables and pictures of all results that are there. Errors: ReportError."""
        for result, module in self.read(modules):
            self._show(result, module)

    def read(self, modules):
        """The results that are there: (result, module), in the order of `modules`. Errors: ReportError, also
        for results that belong to no module."""
        known = {module.NAME: module for module in modules}
        found = {path.stem: path for path in self.results.glob("*.json")}
        strange = sorted(set(found) - set(known))
        if strange:
            raise ReportError(f"{found[strange[0]]}: there is no such benchmark: remove the file")
        results = [(read(found[name]), module) for name, module in known.items() if name in found]
        for result, module in results:
            try:
                markdown(result, module)
            except (KeyError, TypeError) as error:
                name = result["benchmark"]
                raise ReportError(f"{found[name]}: its rows are not those of this version ({error!r}): "
                                  f"measure it again (headrace bench {name})") from error
        return results

    def write_all(self, modules):
        """Writes RESULTS.md of all results that are there; returns its path. Errors: ReportError."""
        lines = ["# What was measured", "",
                 "Written by `headrace bench` from `results/*.json`; `README.md` says how it is measured. "
                 "Ratios are medians over rounds in which all contenders ran, with the 95% interval of that "
                 "median.", ""]
        for result, module in self.read(modules):
            lines.append(markdown(result, module, level=2))
            drawn = self.figures / f"{result['benchmark']}.png"
            if drawn.is_file():
                lines += [f"![{result['benchmark']}]({_relative(drawn, self.out)})", ""]
        path = self.out / "RESULTS.md"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path


def _relative(path, folder):
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
