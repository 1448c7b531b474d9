"""Check the values of a configuration file, each against the rule of its key."""
import math

from mc2.errors import BadData

REQUIRED = object()
LONGEST = 200               # characters of a value in a message
PATHS = "paths"
MOST = 1 << 63              # whole numbers are smaller


class Key:
    """A rule for the value of a key.

    kind:     int, float, bool, str, dict, PATHS (a text or a list of texts), or a tuple (float, n): a list of n numbers
    allowed:  values, or a pair (least, most) of numbers; None: any
    default:  where the key may be missing
    """

    def __init__(self, kind, allowed=None, default=REQUIRED):
        self.kind, self.allowed, self.default = kind, allowed, default

    def __str__(self):
        if isinstance(self.kind, tuple):
            return f"a list of {self.kind[1]} numbers{self._span()}"
        name = {int: "a whole number", float: "a number", bool: "true or false", str: "a text",
                dict: "an object", PATHS: "a text or a list of texts"}[self.kind]
        return " or ".join(f'"{value}"' for value in self.allowed) if self.kind is str and self.allowed \
            else name + self._span()

    def _span(self):
        if not self.allowed or self.kind in (str, PATHS):
            return ""
        least, most = self.allowed
        return f" from {least:g}" if most is None else f" from {least:g} to {most:g}"

    def fits(self, value):
        if isinstance(self.kind, tuple):
            number = Key(self.kind[0], self.allowed)
            return isinstance(value, list) and len(value) == self.kind[1] and all(map(number.fits, value))
        if self.kind == PATHS:
            return isinstance(value, str) or isinstance(value, list) and bool(value) \
                and all(isinstance(item, str) for item in value)
        if isinstance(value, bool) != (self.kind is bool) or isinstance(value, int) and abs(value) >= MOST:
            return False
        if not isinstance(value, (int, float) if self.kind is float else self.kind):
            return False
        if self.kind is float and not math.isfinite(value):
            return False
        if self.allowed is None:
            return True
        if self.kind is str:
            return value in self.allowed
        least, most = self.allowed
        return value >= least and (most is None or value <= most)

    def taken(self, value):
        """A value that fits, as the code takes it: 0 of a number is 0.0."""
        if self.kind is float and value is not None:
            return float(value)
        return [float(number) for number in value] if isinstance(self.kind, tuple) and value is not None else value


def check(content, keys, source, prefix="", hint=""):
    """The values of a section with defaults filled in. BadData names the file, the key and what is allowed.

    keys: {key: Key}. prefix: of the keys in messages. hint: what to say about an unknown key.
    """
    for key in content:
        if key not in keys:
            raise BadData(f"{source}: unknown key {prefix}{key}. {hint}")
    checked = {}
    for key, rule in keys.items():
        if key not in content and rule.default is REQUIRED:
            raise BadData(f"{source}: no {prefix}{key}: {rule}.")
        value = content.get(key, rule.default)
        if key in content and not rule.fits(value):
            raise BadData(f"{source}: {prefix}{key} is {shown(value)}, not {rule}.")
        checked[key] = rule.taken(value)
    return checked


def shown(value):
    """A value of a configuration file for a message; the beginning of a long one."""
    try:
        text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    except ValueError:                      # an integer of more digits than Python writes
        return "a number of too many digits"
    return text if len(text) <= LONGEST else text[:LONGEST] + " ..."
