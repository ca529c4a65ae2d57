"""Lines of click histories: what generate_taobao.py and convert_taobao.py write.

8 fields separated by tabs, ids are text without tabs and commas; the four lists have commas between, and the
same length in one line, oldest first:

    label                1: the user clicked the item, 0: not
    user, item, category
    clicked items        before that, at most HISTORY, and their categories
    not clicked items    one for each clicked one, drawn by popularity, and their categories
"""

FIELDS = 8
HISTORY = 100


def line(label, user, item, category, clicked, not_clicked) -> bytes:
    """All bytes. clicked, not_clicked: (list of items, list of their categories)."""
    lists = (b",".join(ids) for pair in (clicked, not_clicked) for ids in pair)
    return b"\t".join((label, user, item, category, *lists))
