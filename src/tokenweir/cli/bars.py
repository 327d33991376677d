"""A bar of ten places: how much of something is used, and how much is set aside."""

PLACES = 10


def bar(used: int, reserved: int, whole: int) -> str:
    """`███▒░░░░░░  34 %`: full only when nothing is left, and never empty once something is used."""
    if whole <= 0:
        return "█" * PLACES
    taken = used + reserved
    filled = _places(taken, whole)
    solid = min(filled, _places(used, whole))
    percent = taken * 100 // whole
    shown = "<1" if taken > 0 and percent == 0 else str(max(0, percent))
    return f"{'█' * solid}{'▒' * (filled - solid)}{'░' * (PLACES - filled)} {shown} %"


def _places(part: int, whole: int) -> int:
    if part >= whole:
        return PLACES
    return 0 if part <= 0 else max(1, min(PLACES - 1, part * PLACES // whole))
