"""What failed and what to try: rules over measured figures, one function each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from wyner_keras.reporting.blocks import percent
from wyner_keras.reporting.findings import LEAST_NATS, LEAST_PAIRS, Findings
from wyner_serving.sides import LOCALS

_SHORT = 0.5  # of a stage's epochs, below which it is called shortened

_COLLAPSED = 0.1  # of the variety of real examples, below which samples are all alike
_COPIED = 0.6  # how often samples are nearer to rows trained on than held-out rows are, at least
_LEAK, _LEAK_SHARE = 0.05, 0.1  # nats above those of shuffled pairs, and of what is shared

Advice = tuple[str, str]
"""What is wrong, and what to try."""


def _sides(f: Findings, name: str) -> Iterator[tuple[str, str, float, float]]:
    """Of a figure of both sides: made and given side, the model's value, what is beside it."""
    for made, given in (("y", "x"), ("x", "y")):
        found = f.figure(f"{name}_{made}")
        if found is not None:
            yield made, given, *found


def _shortened(f: Findings) -> Iterator[Advice]:
    short = {name: share for name, share in f.shares.items() if share < _SHORT}
    if short:
        told = {name: _roughly(share) for name, share in short.items()}
        each = ", ".join(f"{name} {share}" for name, share in told.items())
        yield (
            f"The training was shortened to {_roughly(min(short.values()))} of its recipe "
            f"({each} of the epochs).",
            "Train longer before anything else: what sizes and settings are worth shows only "
            "then, and nothing is said of them here.",
        )


def _roughly(share: float) -> str:
    return "less than 1 %" if share < 0.01 else percent(share, 0)


def _few(f: Findings) -> Iterator[Advice]:
    count = len(f.held.ranks)
    if count < 100:
        yield (
            f"Only {count} pairs were held out.",
            "Figures on so few are rough: hold out more pairs before you compare models.",
        )
    if f.held.groups is not None and f.held.groups < LEAST_PAIRS:
        yield (
            f"The {count} pairs held out are of only {f.held.groups} "
            f"group{'s' * (f.held.groups != 1)}.",
            "Pairs of one group go together, so that figures are as rough as of so few pairs: hold "
            "out more groups before you believe them.",
        )


def _nothing(f: Findings) -> Iterator[Advice]:
    if f.missed:
        yield (
            "The model finds nothing shared, but a test of the pairs does "
            f"(p = {f.dependence:.3f}).",
            f"{'The' if f.certain else 'If so, the'} rows are matched. Try a longer training, more "
            "pairs, and another encoder of what should matter.",
        )
    elif f.nothing:
        yield (
            "Held-out partners are found no better than by chance.",
            "Either the sides share nothing, or the rows are not matched (check that row i of x "
            "belongs to row i of y), or there are too few pairs to learn it: try more pairs, a "
            "longer training, and another encoder of what should matter.",
        )


def _one_value(f: Findings) -> Iterator[Advice]:
    if f.largest_share >= 0.9 and f.shared_nats < 0.1:
        yield (
            f"One value of z holds {percent(f.largest_share, 0)} of the pairs.",
            "Nothing or little is shared as a kind: look whether a quantity is, by a Gaussian z.",
        )


def _by_heart(f: Findings) -> Iterator[Advice]:
    if f.trained is None or f.nothing or f.too_few:
        return
    trained, held = f.trained.ranks.mean(), f.held.ranks.mean()
    if held > 0.05 and held > 2 * trained:
        yield (
            f"{percent(trained)} of other rows fit better than the true partner in the pairs "
            f"trained on, {percent(held)} in those held out.",
            "The model has learned its pairs by heart: give it more pairs, or train for a shorter "
            "time.",
        )


def _wrong_pairs(f: Findings) -> Iterator[Advice]:
    fits = f.trained or f.held
    untold = f.figure("partner_nats") is not None and f.shared_nats < LEAST_NATS
    if f.nothing or f.too_few or untold or not fits.surplus:
        return
    told = (
        f"n {percent(fits.against, 1)} of the pairs x and y speak against each other, where "
        f"the model expects {percent(fits.expected_against, 1)}"
    )
    if fits.explained:
        yield (
            f"The model is surer than it should be: i{told}. Its pmi tells most when divided by "
            f"{fits.temperature:.1f}, and then no more do than are expected.",
            "Drop no pair for that. Train on more pairs, or for a shorter time; the order of the "
            "worst pairs holds all the same.",
        )
    else:
        yield (
            f"I{told}.",
            "Look at the worst pairs above: mend or drop those that are wrong, and train again.",
        )


def _leaks(f: Findings) -> Iterator[Advice]:
    for side, other, *partner in _sides(f, "leakage_partner"):
        local, of_z = LOCALS[side], f.figure(f"leakage_z_{side}")
        if _leaked(f, *partner):
            yield (
                f"The private part of {side}, {local}, still tells {partner[0]:.2f} nats of "
                f"{other}, where shuffled pairs give {partner[1]:.2f}.",
                "Something shared was taken for private: offer z more values or dimensions, or "
                "train the alignment longer.",
            )
        elif of_z is not None and _leaked(f, *of_z):
            yield (
                f"The private part of {side}, {local}, still tells {of_z[0]:.2f} nats of z, where "
                f"shuffled pairs give {of_z[1]:.2f}.",
                f"z and {local} are not kept apart: train the joint stage and the flow longer, or "
                "make the private part smaller.",
            )


def _leaked(f: Findings, nats: float, shuffled: float) -> bool:
    return nats > shuffled + max(_LEAK, _LEAK_SHARE * f.shared_nats)


def _one_pair(f: Findings) -> Iterator[Advice]:
    coherence = f.figure("joint_coherence")
    if coherence is None or coherence[0] < 0.9 * coherence[1]:
        return
    against = [
        f"the label of {made} from {given} is right in {percent(value, 0)}, that of real {made} in "
        f"{percent(beside, 0)}"
        for made, given, value, beside in _sides(f, "conditional_accuracy")
        if value < 0.5 * beside
    ]
    against += [
        f"samples of {made} vary {value:.2f} of what real ones do"
        for made, _, value, _ in _sides(f, "diversity")
        if value < _COLLAPSED
    ]
    if against:
        yield (
            f"That {percent(coherence[0], 0)} of generated pairs have labels that go together "
            f"means nothing here: {'; '.join(against)}.",
            "A model that makes few pairs again and again reaches as much: train longer, and look "
            "at recall and at the pictures.",
        )


def _unused_input(f: Findings) -> Iterator[Advice]:
    for made, given, value, _ in _sides(f, "fit"):
        if value <= 0.01 and not (f.nothing or f.silent):
            yield (
                f"Generated {made} fit their own {given} no better than another one.",
                "The decoder makes no use of z: try more values or dimensions of z, or a smaller "
                "private part.",
            )


def _varies(f: Findings) -> Iterator[Advice]:
    for made, given, value, _ in _sides(f, "diversity"):
        if value < 0.5:
            yield (
                f"Samples of {made} vary less than data: {value:.2f} of what real ones do.",
                f"The private part of {made} is too small or its training too short: give it more "
                "dimensions, and train longer.",
            )
        if value > 1.5:
            yield (
                f"Samples of {made} for one {given} vary more than real ones of one label.",
                f"z of {given} is not sure of the label: train longer, or offer more pairs.",
            )
    for made, _, value, _ in _sides(f, "spread"):
        if value < 0.02:
            yield (
                f"Samples of {made} hardly vary: {value:.3f} of what all data do.",
                f"If {made} is not fixed by its partner, give its private part more dimensions.",
            )


def _realistic(f: Findings) -> Iterator[Advice]:
    tries = {
        "precision": "train longer, with a larger codec: what is generated does not look real.",
        "recall": "give the private part more dimensions, and train its flow longer: many real "
        "examples could not have been generated.",
    }
    for name, try_this in tries.items():
        for made, _, value, beside in _sides(f, name):
            if value < 0.5 * beside:
                yield (
                    f"{name.capitalize()} of generated {made} is {value:.2f}, real examples reach "
                    f"{beside:.2f}.",
                    f"{try_this[0].upper()}{try_this[1:]}",
                )


def _copies(f: Findings) -> Iterator[Advice]:
    for name, of in (("memory", ""), ("memory_joint", " of joint pairs")):
        for made, _, value, _ in _sides(f, name):
            low, _ = f.report.intervals.get(f"{name}_{made}", (0.0, 1.0))
            if low > _COPIED:
                yield (
                    f"Samples of {made}{of} lie nearer to rows trained on than held-out rows do in "
                    f"{percent(value, 0)} of the cases; 50 % is chance.",
                    "Some may be copies: look at those that are nearest, beside their rows, under "
                    "How well it is known, and train on more pairs or for a shorter time.",
                )


def _kept(f: Findings) -> Iterator[Advice]:
    for side, _, value, beside in _sides(f, "reconstruction"):
        if value < 0.6 * beside:
            yield (
                f"{percent(max(0.0, value), 0)} of the variance of {side} comes back after "
                "encoding and decoding.",
                "A larger private part or a longer joint stage keeps more.",
            )
        if beside < 0.5:
            yield (
                f"The codec of {side} itself keeps {percent(max(0.0, beside), 0)}.",
                "Give the codec more features or more epochs: nothing after it can do better.",
            )


def _labels(f: Findings) -> Iterator[Advice]:
    for made, given, value, beside in _sides(f, "conditional_accuracy"):
        if value < 0.9 * beside and not f.nothing:
            yield (
                f"The label of {made} from {given} is right in {percent(value, 0)}, that of real "
                f"{made} in {percent(beside, 0)}.",
                "z mixes labels: offer more values of z, more pairs, or a longer training.",
            )
    coherence = f.figure("joint_coherence")
    if coherence and coherence[0] < 0.9 * coherence[1] and not f.nothing:
        yield (
            f"{percent(coherence[0], 0)} of generated pairs have labels that go together.",
            "Values of z mix labels: offer more values of z, or a longer training.",
        )
    known = f.nats.get("h_label", 0.0)
    for local in ("u", "v"):
        leaked = f.nats.get(f"i_label_{local}_lower", 0.0)
        if known and leaked > 0.1 * known:
            yield (
                f"The private {local} tells {leaked:.2f} of the label's {known:.2f} nats.",
                "What is shared leaks into the private part: train the flow longer, or make the "
                "private part smaller.",
            )


RULES: Sequence[Callable[[Findings], Iterator[Advice]]] = (
    _nothing,
    _few,
    _one_pair,
    _wrong_pairs,
)
RULES_OF_SETTINGS: Sequence[Callable[[Findings], Iterator[Advice]]] = (
    _one_value,
    _by_heart,
    _leaks,
    _unused_input,
    _varies,
    _realistic,
    _copies,
    _kept,
    _labels,
)
"""Rules that mean something where the training was as long as its recipe has it."""


def advice(findings: Findings) -> list[Advice]:
    """What failed, the gravest first, each with what to try."""
    shortened = list(_shortened(findings))
    rules = RULES if shortened else (*RULES, *RULES_OF_SETTINGS)
    return [*shortened, *(each for rule in rules for each in rule(findings))]
