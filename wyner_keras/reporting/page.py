"""`report`: everything that is known of a model on pairs, on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_whole
from wyner_keras.evaluation import Memory, Misfits, Report, evaluate, misfits
from wyner_keras.evaluation.memory import nearest_samples
from wyner_keras.information import measure
from wyner_keras.model import WynerModel
from wyner_keras.received import received
from wyner_keras.reporting import meanings, rules, walks
from wyner_keras.reporting.blocks import (
    Block,
    Card,
    Cards,
    Heading,
    Listing,
    Section,
    Table,
    Words,
    percent,
)
from wyner_keras.reporting.document import ReportPage
from wyner_keras.reporting.drawing import Pictures, pictures_of
from wyner_keras.reporting.findings import LEAST_NATS, LEAST_PAIRS, Findings, Read
from wyner_keras.reporting.places import Places, counted

_WORST, _PICTURED = 20, 9  # pairs that are listed, and shown
_NEAR = 0.7  # nats below the most that pairs can show, about a half of them
_EXPECTED = 3  # samples of what the model expected
_NEAREST = 3  # samples of a side that are shown beside the row they lie nearest to


def report(
    model: WynerModel,
    pairs: Pairs,
    *,
    train: Pairs | None = None,
    figures: Report | None = None,
    nats: Mapping[str, float] | None = None,
    epochs: Mapping[str, float] | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> ReportPage:
    """One page on a model: what x and y share, how well it is known, which pairs do not fit.

    The page says first whether anything is shared at all. Then what is shared, with a picture of
    each value and each sweep of z; what is private; every figure of `evaluate`, with a sentence of
    what it means; the pairs that fit worst, see `evaluation.misfits`; and what to try.

    Args:
        model: a trained W-model.
        pairs: held out.
        train: pairs that it was trained on: their labels teach the judges, and wrong pairs among
            them are found too.
        figures: of `evaluate` on these pairs, in place of evaluating anew.
        nats: of `information.measure` on these pairs, likewise.
        epochs: of each stage the share of its epochs that it had, where a training was shortened;
            `wyner report` tells it from a run.
        seed: of draws and noise.
        verbose: shows progress on stderr.

    Returns:
        The page: `print(page)` for a terminal, `page.write("report.html")` for a browser.

    Raises:
        ValueError: if an argument is not as said.

    Example:
        >>> import wyner_keras as wk
        >>> page = wk.report(trained.model, held_out, train=train)  # doctest: +SKIP
        >>> page.write("report.html")  # doctest: +SKIP
    """
    if not isinstance(model, WynerModel):
        raise ValueError(f"`model` should be a WynerModel. Received: model={received(model)}")
    for name, value in (("pairs", pairs), ("train", train)):
        if not isinstance(value, Pairs) and (name, value) != ("train", None):
            raise ValueError(f"`{name}` should be Pairs. Received: {name}={received(value)}")
    check_whole(seed, "`seed`")
    if figures is None:
        figures = evaluate(model, pairs, train=train, seed=seed, verbose=verbose)
    read = Read.of(model, pairs, seed)
    found = Findings(
        report=figures,
        nats=measure(model, pairs, seed=seed) if nats is None else nats,
        held=misfits(model, pairs, seed=seed),
        trained=None if train is None else misfits(model, train, seed=seed),
        sweeps=model.z.sweeps(read.posteriors),
        shares=epochs or {},
    )
    pictures = {
        name: pictures_of(name, entry, read.rows[name])
        for name, entry in model.side_entries.items()
    }
    nearest = _nearest(model, pairs, train, figures, seed)
    advice = rules.advice(found)
    headline, verdict = _verdict(found)
    if advice:
        count = f"{len(advice)} thing{'s' if len(advice) > 1 else ''}"
        verdict.append(f"{count} to look at: see the end of the page.")
    else:
        verdict.append("Nothing went wrong that the rules at the end of the page look for.")
    trained_on = "" if train is None else f", trained on {len(train):,}"
    return ReportPage(
        title="What x and y share",
        about=f"{_said(pairs)}: {len(pairs):,} pairs held out{trained_on}.",
        headline=headline,
        verdict=verdict,
        nothing=found.nothing and not found.missed,
        sections=[
            Section("What is shared", _shared(model, found, read, pictures)),
            Section("What is private", _private(model, found, read, pictures, seed)),
            Section(
                "How well it is known", [*_figures(figures), *_copies(nearest, train, pictures)]
            ),
            Section("Which pairs fit worst", _worst(model, pairs, train, found, pictures, seed)),
            Section("What failed, and what to try", [_advice(advice)]),
        ],
        values=_values(found, advice, headline, pairs, train),
    )


def _said(pairs: Pairs) -> str:
    kinds = [modality.describe() for modality in pairs.modalities]
    sides = [
        f"{name} {kind.get('kind', 'row')} of shape {tuple(kind['shape'])}"
        for name, kind in zip(pairs.names, kinds, strict=True)
    ]
    return " and ".join(sides)


def _verdict(found: Findings) -> tuple[str, list[str]]:
    """The first thing to say, and why."""
    rank = found.held.ranks.mean()
    ranked = (
        f"Of {found.held.others} held-out candidates {percent(rank)} fit better than the true "
        "partner, on average; chance is 50 %."
    )
    if found.too_few:
        of, why = "pairs", [ranked]
        if len(found.held.ranks) >= LEAST_PAIRS:
            one, count = "group", found.held.groups
            if count is None:
                one, count = "different row", found.held.rows
            of = f"{one}s"
            why.append(
                f"Pairs of one {one.split()[-1]} count as one, and those held out are of {count} "
                f"{one if count == 1 else of}."
            )
        if found.silent:
            why.append("The model finds nothing: its z is the same whatever x and y are.")
        return f"There are too few held-out {of} to say whether anything is shared.", why
    if found.nothing:
        headline = "Nothing shared was found."
        if found.missed:
            headline = (
                f"Something {'is' if found.certain else 'may be'} shared, but this model did not "
                "find it."
            )
        return headline, [
            f"{ranked} That is what rows drawn apart would do.",
            *_tested(found),
            "x and y share nothing that this model finds: whatever z holds is of one side alone.",
        ]
    why = [f"{ranked} That is {found.held.significance:.0f} standard errors better than chance."]
    nats = found.least_nats
    if nats < LEAST_NATS:
        why.append(_untold(found))
        return "Something is shared; how much is not told.", why
    but = (
        ", by a model that is surer than it should be"
        if found.held.surplus and found.held.explained
        else ""
    )
    why.insert(
        0,
        f"{_told(nats)} {percent(found.held.against)} of the held-out pairs fit each other "
        f"less well than rows drawn apart{but}.",
    )
    if found.shared_nats > found.most_nats - _NEAR:
        why.insert(1, _near(found))
    if f"{nats:.2f}" != f"{found.shared_nats:.2f}":
        why.insert(
            1,
            f"The bound came out at {found.shared_nats:.2f} nats; by other held-out pairs, as "
            f"few, it may be as low as {nats:.2f} (95 %).",
        )
    return f"x and y share at least {nats:.2f} nats.", why


def _told(nats: float) -> str:
    """How much so many nats are."""
    kinds = math.exp(nats)
    if kinds < 2:
        return (
            "That is less than telling two equally common kinds apart, which is 0.69 nats, 1 bit."
        )
    return (
        f"That is as much as telling {kinds:.1f} equally common kinds apart (1 nat is 1.44 bits)."
    )


def _untold(found: Findings) -> str:
    """Why how much is shared is not told."""
    if found.shared_nats < LEAST_NATS:
        return (
            "The bound on how much it is came out at 0: it may be little, or pairs too few, or the "
            "training too short to tell."
        )
    return (
        f"The bound on how much it is came out at {found.shared_nats:.2f} nats, but by other "
        "held-out pairs, as few, it may be 0 (95 %). Hold out more to see."
    )


def _near(found: Findings) -> str:
    """What keeps the bound down where it is near the most that it can be."""
    held, compared = len(found.held.ranks), found.report.counts.get("partners", 0)
    most = f"{found.most_nats:.2f} nats at most"
    if compared and compared < held:
        return f"It may be more: {compared:,} held-out pairs are compared, which can show {most}."
    return f"It may be more: {held} held-out pairs can show {most}. Hold out more to see."


def _tested(found: Findings) -> list[str]:
    """What the test of the pairs, in which no model has a part, says of a model's nothing."""
    p = found.dependence
    if p is None:
        return []
    if found.missed:
        does = "finds that they do share" if found.certain else "speaks for something shared"
        return [f"A test of the pairs without the model {does} (p = {p:.3f})."]
    return [f"A test of the pairs without the model finds nothing either (p = {p:.2f})."]


def _shared(
    model: WynerModel, found: Findings, read: Read, pictures: Mapping[str, Pictures]
) -> list[Block]:
    if found.nothing or found.silent:
        by_model = " that this model finds" if found.missed or not found.nothing else ""
        return [
            Words(
                f"Nothing{by_model}. There are neither "
                "pictures nor sizes of z here: what it tells apart is of one side, and tells "
                "nothing of the other."
            ),
        ]
    names = {
        "i_xy_z": "z tells of the pair",
        "i_x_z": "z, read off x alone, tells of x",
        "i_y_z": "z, read off y alone, tells of y",
        "i_zx_zy": "z, read off x, tells of z, read off y",
        "i_label_z": "z tells of the label of x",
        "h_label": "the label of x holds",
    }
    rows = [(names[name], _bounded(found.nats, name)) for name in names if name in found.nats]
    if found.figure("partner_nats"):
        told = f"{found.least_nats:.2f} or more"
        rows.insert(0, ("one side tells of the other, through z", told))
    caption = "On held-out pairs. z is what the model shares."
    values, count = model.z.values(), found.nats.get("rows", 0)
    if values is not None and count:
        # Of a table of counts: its cells, but for those that the margins fix, over twice the rows.
        labels = read.labels["x"]
        excess = {
            "i_zx_zy": (len(values) - 1) ** 2 / (2 * count),
            "i_label_z": (len(values) - 1)
            * (0 if labels is None else len(np.unique(labels)) - 1)
            / (2 * count),
        }
        high = [
            f"what {names[name]} by {each:.2f}"
            for name, each in excess.items()
            if name in found.nats and each > 0.1
        ]
        if high:
            caption += f" On so few some may come out too high: {'; '.join(high)}."
    table = Table(("how much", "nats"), rows, caption)
    return [table, *walks.shared(model, read, found.sweeps, pictures)]


def _bounded(nats: Mapping[str, float], name: str) -> str:
    """Nats that are exact for the pairs, or their bounds."""
    if f"{name}_upper" not in nats:
        # Of a continuous z what it tells of a label is bounded from below alone.
        return f"{nats[name]:.2f}{' or more' * (name == 'i_label_z' and 'i_xy_z_upper' in nats)}"
    return " to ".join(f"{each:.2f}" for each in sorted((nats[name], nats[f"{name}_upper"])))


def _private(
    model: WynerModel, found: Findings, read: Read, pictures: Mapping[str, Pictures], seed: int
) -> list[Block]:
    rows = []
    for side in model.sides:
        names = [f"i_{side.name}_{side.local_name}_{end}" for end in ("lower", "upper")]
        if side.local is not None and all(name in found.nats for name in names):
            bounds = [found.nats[name] for name in names]
            # Both are of samples, and may cross where there is little.
            told = " to ".join(f"{value:.2f}" for value in sorted(bounds))
            leak = found.nats.get(f"i_label_{side.local_name}_lower")
            leaked = "–" if leak is None else f"{leak:.2f}"
            rows.append((f"{side.local_name} of {side.name}", told, leaked))
    blocks: list[Block] = []
    if rows:
        caption, head = "How much the private parts hold, nats.", ("private part", "of its side")
        if any(leaked != "–" for *_, leaked in rows):
            caption += " What they tell of the label should be near 0."
            blocks.append(Table((*head, "of the label"), rows, caption))
        else:
            blocks.append(Table(head, [row[:2] for row in rows], caption))
    z = model.z.centre(read.posteriors)
    for side in model.sides:
        blocks += walks.private(model, side, z, pictures[side.name], seed)
    return blocks


def _figures(figures: Report) -> list[Block]:
    blocks: list[Block] = [
        Words(
            "Each figure is of held-out pairs, and stands beside what it is to be compared with: "
            "what real examples reach (ceiling), or what a model would that knows nothing."
        ),
        *meanings.grouped(figures.figures, figures.intervals, figures.p_values),
    ]
    reasons: dict[str, list[str]] = {}
    for name, why in figures.left_out.items():
        reasons.setdefault(why, []).append(meanings.title_of(name))
    if reasons:
        blocks.append(
            Listing(
                [
                    (f"Left out, which needs {why}:", ", ".join(titles))
                    for why, titles in reasons.items()
                ]
            )
        )
    return blocks


def _nearest(
    model: WynerModel, pairs: Pairs, train: Pairs | None, figures: Report, seed: int
) -> dict[str, Memory]:
    """By side the samples that lie nearest to rows trained on; a file of figures has none."""
    found = {name: figures.nearest.get(f"memory_{name}") for name in pairs.names}
    known = {name: each for name, each in found.items() if each and each.examples is not None}
    if known or train is None or not any(f"memory_{name}" in figures.figures for name in found):
        return known
    return nearest_samples(model, pairs, train, seed=seed)


def _copies(
    nearest: Mapping[str, Memory], train: Pairs | None, pictures: Mapping[str, Pictures]
) -> list[Block]:
    """The samples that lie nearest to rows trained on, each beside its row."""
    if train is None or not nearest:
        return []
    cards, places = list[Card](), Places(train)
    for column, name in enumerate(train.names):
        found = nearest.get(name)
        if found is None:
            continue
        store, modality = train.stores[column], train.modalities[column]
        for place, row in enumerate(found.rows[:_NEAREST].tolist()):
            real = modality.check(store.take(np.array([row])), name)
            title = f"{name}, {places.row_called(row, column)}"
            note = (
                f"{found.distances[place]:.3g} apart; of a held-out row {found.usual:.3g} is usual"
            )
            sample = np.asarray(found.examples)[[place]]
            cards.append(Card(title, note, [pictures[name].pair(real, sample, "a sample")]))
    return [
        Heading("Samples beside rows trained on"),
        Words(
            "These samples lie nearest to a row that was trained on, measured by how near held-out "
            "rows lie to them. The row is shown first. How often samples lie nearer than held-out "
            "rows do is told above: 50 % where nothing is copied."
        ),
        Cards(cards, rank=4),
    ]


def _worst(
    model: WynerModel,
    pairs: Pairs,
    train: Pairs | None,
    found: Findings,
    pictures: Mapping[str, Pictures],
    seed: int,
) -> list[Block]:
    """The pairs of the highest scores, of those held out and of those trained on together."""
    sets: list[tuple[str, Pairs, Misfits]] = [("held out", pairs, found.held)]
    if train is not None and found.trained is not None:
        sets.insert(0, ("trained on", train, found.trained))
    listed = sorted(
        (
            (-float(fits.scores[place]), order, int(place))
            for order, (_, _, fits) in enumerate(sets)
            for place in fits.order[:_WORST]
        ),
    )[:_WORST]
    places = [Places(some) for _, some, _ in sets]
    rows: list[tuple[str, ...]] = []
    cards: list[Card] = []
    for score, order, place in listed:
        where, some, fits = sets[order]
        named = places[order]
        labels = ["–" if of is None else str(of[place]) for of in (some.x_labels, some.y_labels)]
        rows.append(
            (
                where,
                *(named.called(place, column) for column in (0, 1)),
                *(labels if any(label != "–" for label in labels) else []),
                f"{-score:z.2f}",
                f"{fits.pmi[place]:z.2f}",
            )
        )
        if len(cards) < _PICTURED:
            title = f"{where}, {named.title(place)}"
            cards.append(_pair(model, title, some, place, -score, pictures, seed))
    labelled = len(rows[0]) > 5
    head = ("pair", "x", "y", *(("label of x", "label of y") if labelled else ()))
    shares = ", ".join(f"{percent(fits.against)} of those {where}" for where, _, fits in sets)
    if found.nothing or found.silent:
        return [Words("Since nothing shared was found, no pair fits better or worse than another.")]
    return [
        Words(
            f"x and y speak against each other (pmi below 0) in {shares}. The score is how much "
            "less the two rows tell of each other than a row like these and its true partner do: "
            "a clear x with a clear but wrong y comes first, while a row that is odd in itself is "
            f"expected to fit little and scores near 0. {counted(pairs, train)}"
        ),
        Table((*head, "score, nats", "pmi, nats"), rows, f"The {len(rows)} worst fitting pairs."),
        Cards(cards),
    ]


def _pair(
    model: WynerModel,
    title: str,
    pairs: Pairs,
    place: int,
    score: float,
    pictures: Mapping[str, Pictures],
    seed: int,
) -> Card:
    """A pair as it is, and the y that the model expected of its x."""
    x, y = (
        modality.check(store.take(pairs.index[[place], column]), name)
        for column, (name, store, modality) in enumerate(
            zip(pairs.names, pairs.stores, pairs.modalities, strict=True)
        )
    )
    expected = model.generate_y(x, seed=seed, samples=_EXPECTED)[0]
    parts = [pictures["x"].pair(x, None), pictures["y"].pair(y, expected)]
    return Card(title, f"score {score:z.2f} nats", parts)


def _advice(advice: list[rules.Advice]) -> Block:
    if not advice:
        return Words("Nothing that these rules look for.")
    return Listing(advice)


def _values(
    found: Findings,
    advice: list[rules.Advice],
    headline: str,
    pairs: Pairs,
    train: Pairs | None,
) -> dict[str, Any]:
    def fits(of: Misfits | None, some: Pairs | None) -> dict[str, Any] | None:
        if of is None or some is None:
            return None
        places = Places(some)
        return {
            "against": of.against,
            "mean_rank": float(of.ranks.mean()),
            "worst": [
                {
                    "pair": place,
                    **places.values(place),
                    "score": float(of.scores[place]),
                    "pmi": float(of.pmi[place]),
                }
                for place in of.order[:_WORST].tolist()
            ],
        }

    return {
        "headline": headline,
        "nothing_shared": found.nothing and not found.missed,
        "missed": found.missed,
        "significance": found.held.significance,
        "metrics": {**found.report.to_dict(), "nats": dict(found.nats)},
        "fit": {"held_out": fits(found.held, pairs), "trained_on": fits(found.trained, train)},
        "advice": [{"found": what, "try": then} for what, then in advice],
    }
