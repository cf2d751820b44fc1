"""How often things were done, in one job or in all."""


class Counts:
    def __init__(self, names):
        self.__dict__.update(dict.fromkeys(names, 0))

    def add(self, other):
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def __str__(self):
        return ", ".join(f"{count:,} {name}" for name, count in vars(self).items())
