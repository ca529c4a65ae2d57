"""Small session graphs, each with the set of nodes that staging must move written down.

case.py       what a case is; the registry
outcome.py    what a step gave, in a form that compares bit for bit
runner.py     runs a case in a session, unstaged or staged
reference.py  runs every case in a process that never loads Headrace
marks.py      keep, mark_target_node, staged: no-ops in the reference
plan_view.py  the one place that knows the schema of explain and stats
waiting.py    waits on conditions with a deadline

sessions.py   staged sessions and small graphs for the life-cycle tests
random_*.py   graphs generated from a seed, and their reference process

The other modules are the cases, by subject.
"""
