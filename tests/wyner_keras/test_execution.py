import pytest

from wyner_keras.execution import execution


@pytest.mark.parametrize(
    ("steps", "epochs", "jit_compile", "how"),
    [
        (0, 1, True, (True, False, 1)),  # fewer pairs than a batch
        (5, 4, True, (True, False, 1)),
        (7, 3, True, (False, False, 1)),
        (90, 4, True, (False, False, 1)),
        (90, 5, True, (False, True, 30)),
        (90, 5, False, (False, False, 30)),
        (97, 10, True, (False, True, 1)),  # a prime beyond 40
    ],
)
def test_a_few_steps_are_not_traced_nor_some_hundreds_compiled_or_traced_twice(
    steps, epochs, jit_compile, how
):
    found = execution(steps, epochs, jit_compile=jit_compile)
    names = ("run_eagerly", "jit_compile", "steps_per_execution")
    assert tuple(found[name] for name in names) == how
