"""The part `sho`: oscillator fits, whole spectra per second on one core, beside `least_squares` of SciPy on the
same complex residuals from the same guesses, and whether both end in the same minimum.

SciPy is measured as its users call it (by default: trust region, numerical Jacobian) and in its fastest way
that was found (MINPACK's Levenberg–Marquardt with the analytic Jacobian), each on a few hundred spectra.
"""

SPECTRA = "400"
WAYS = {"default": "by default", "fastest": "by lm with the analytic Jacobian"}


class Sho:
    def __init__(self, bench):
        self.bench = bench
        self.file = bench.scan(256)

    def measure(self):
        bench = self.bench
        ours, theirs = [], {way: [] for way in WAYS}
        ratios = {way: [] for way in WAYS}
        for _ in range(bench.repeat):
            for way in WAYS:
                run = bench.run("sho-fit", self.file, 1)
                peer = bench.peer("tests", "least-squares", self.file, run["file"], run["group"], SPECTRA, way)
                ours.append(1e6 * run["seconds"] / run["positions"])
                theirs[way].append(1e6 * peer["seconds"] / peer["spectra"])
                ratios[way].append(theirs[way][-1] / ours[-1])
        bench.line("sho-fit, guess, fit and errors, 1 core", ours, "us/spectrum")
        for way, named in WAYS.items():
            bench.line(f"SciPy's least_squares {named}, the fit alone", theirs[way], "us/spectrum")
            bench.line(f"sho-fit: times as fast as least_squares {named}, 1 core", ratios[way], least=50)
        bench.line("sho-fit: spectra with SciPy's minimum", [100 * peer["same"] / peer["spectra"]], "%", least=100)
        bench.scaling("sho-fit", self.file)
