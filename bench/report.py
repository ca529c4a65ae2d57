"""Results as JSON, a Markdown table and a picture."""

import json
import pathlib

VERSION = 1


def as_json(name, machine, settings, rows):
    return {"version": VERSION, "benchmark": name, "machine": machine, "settings": settings,
            "rows": rows}


def table(columns, rows):
    """Markdown. columns: (heading, row -> text); a last column says whether the goal was met."""
    columns = [*columns, ("goal", _verdict)]
    lines = ["| " + " | ".join(heading for heading, _ in columns) + " |",
             "|" + " --- |" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join(text(row) for _, text in columns) + " |")
    return "\n".join(lines)


def _verdict(row):
    if row["goal"] is None:
        return ""
    return f"{row['goal']:g}: {'met' if row['met'] else 'missed'}"


def markdown(result, columns):
    """The table below what it was measured on and with."""
    machine = result["machine"]
    commit = machine["commit"][:12] + (" with changes" if machine["uncommitted_changes"] else "")
    return "\n".join([
        f"# {result['benchmark']}", "",
        f"    {machine['command']}", "",
        f"{machine['started']}, commit {commit}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory']}, {machine['system']}; load before the run "
        f"{machine['load_average'][0]:.2f}; Python {machine['python']}, TensorFlow "
        f"{machine['tensorflow']}, Headrace {machine['headrace'] or 'not installed'}.", "",
        f"Medians over {_rounds(result['rows'])} rounds.", "",
        table(columns, result["rows"]), ""])


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


def write(folder, figures, result, columns, draw):
    """Writes NAME.json and NAME.md into `folder` and NAME.png into `figures`; returns the paths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    name = result["benchmark"]
    folder, figures = pathlib.Path(folder), pathlib.Path(figures)
    for path in (folder, figures):
        path.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.json", folder / f"{name}.md", figures / f"{name}.png"]
    paths[0].write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(result, columns), encoding="utf-8")
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    draw(result["rows"], axes)
    machine = result["machine"]
    axes.set_title(f"{name}: {machine['cpu']}, {machine['cores']} cores, TensorFlow "
                   f"{machine['tensorflow']}, commit {machine['commit'][:9]}", fontsize=9)
    figure.savefig(paths[2], dpi=120)
    plt.close(figure)
    return paths
