"""Requests within limits, without a network between."""

import asyncio
import threading

import numpy as np
import pytest
from kserve.errors import InvalidInput

from wyner_kserve import calls, v1
from wyner_kserve.bodies import Bodies, Gone
from wyner_kserve.calls import Call
from wyner_kserve.limits import LARGE, Limits, bytes_for
from wyner_kserve.records import Record
from wyner_kserve.refusals import Refused, refusal_of
from wyner_kserve.service import Service
from wyner_kserve.tasks import tasks_of


def limits(**changes):
    values = {
        "max_bytes": 2**20,
        "max_buffer": 2**21,
        "max_requests": 8,
        "max_connections": 8,
        "header_seconds": 5,
        "body_seconds": 5,
        "request_seconds": 30,
    }
    return Limits(**values | changes)


@pytest.fixture(scope="module")
def tasks(bundle):
    return {task.name: task for task in tasks_of(bundle.manifest, 64)}


class Slow:
    """A bundle whose computation ends when it is told to."""

    def __init__(self, bundle):
        self.manifest, self._bundle = bundle.manifest, bundle
        self.begun, self.go_on = threading.Event(), threading.Event()

    def generate_pairs(self, count, *, seed):
        self.begun.set()
        assert self.go_on.wait(timeout=30)
        return self._bundle.generate_pairs(count, seed=seed)


def record():
    return Record(protocol="v1", path="")


PAIRS = Call(protocol="v1", model="generate_pairs", body=b'{"inputs": {}}')


@pytest.fixture
def busy(bundle, tasks):
    """Runs a coroutine while a service of one place and one thread computes."""

    def run(work, **changes):
        slow = Slow(bundle)
        service = Service({"generate_pairs": tasks["generate_pairs"]}, limits(**changes), 1)

        async def main():
            # The warm-up, and the first request, end when the work has.
            opened = asyncio.create_task(asyncio.to_thread(service.open, slow))
            slow.go_on.set()
            await opened
            slow.begun.clear()
            slow.go_on.clear()
            asked = asyncio.create_task(service.answer(PAIRS, record()))
            while not slow.begun.is_set():
                await asyncio.sleep(0.001)
            try:
                await work(service)
            finally:
                slow.go_on.set()
            return await asked

        try:
            return asyncio.run(main())
        finally:
            service.close()

    return run


def test_the_event_loop_is_free_while_a_request_is_computed(bundle, busy):
    async def work(service):
        assert service.ready

    content, headers = busy(work)
    expected = dict(zip("xy", bundle.generate_pairs(1, seed=0), strict=True))
    assert content == v1.write(expected, rows=False)
    assert headers == {"Content-Type": "application/json"}


def test_more_requests_than_there_is_room_for_are_told_to_come_again(busy):
    async def work(service):
        with pytest.raises(Refused) as caught:
            await service.answer(PAIRS, record())
        assert caught.value.status == 429
        assert caught.value.code.name == "RESOURCE_EXHAUSTED"
        assert caught.value.headers["retry-after"] == "1"

    busy(work, max_requests=1)


def test_long_requests_leave_room_for_short_ones(busy):
    long = Call(protocol="v1", model="generate_pairs", body=PAIRS.body + b" " * LARGE)

    async def work(service):
        waiting = asyncio.create_task(service.answer(long, record()))
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="1 long requests at once"):
            await service.answer(long, record())
        short = asyncio.create_task(service.answer(PAIRS, record()))
        await asyncio.sleep(0.01)
        assert not short.done()
        for task in (waiting, short):
            task.cancel()
        await asyncio.gather(waiting, short, return_exceptions=True)

    busy(work, max_requests=4)


def test_a_request_that_takes_too_long_is_let_go(busy):
    async def work(service):
        with pytest.raises(Refused, match=r"at most 0\.05 s") as caught:
            await service.answer(PAIRS, record())
        assert (caught.value.status, caught.value.code.name) == (503, "DEADLINE_EXCEEDED")

    with pytest.raises(Refused, match=r"at most 0\.05 s"):
        busy(work, request_seconds=0.05)


def test_a_service_is_not_ready_before_its_bundle_and_after_its_end(bundle, tasks):
    service = Service(tasks, limits(), 1)
    try:
        assert not service.ready
        with pytest.raises(Refused) as caught:
            asyncio.run(service.answer(PAIRS, record()))
        assert (caught.value.status, caught.value.code.name) == (503, "UNAVAILABLE")
        service.open(bundle)
        assert service.ready
        service.stop()
        assert not service.ready
        # A request under way is answered.
        assert asyncio.run(service.answer(PAIRS, record()))[0]
    finally:
        service.close()


def test_a_reader_that_is_killed_is_replaced(bundle, tasks):
    service = Service({"generate_pairs": tasks["generate_pairs"]}, limits(), 1)
    long = Call(protocol="v1", model="generate_pairs", body=PAIRS.body + b" " * LARGE)

    async def work():
        (pid,) = service._reader._pool._processes
        service._reader._pool._processes[pid].kill()
        with pytest.raises(Refused) as caught:
            await service.answer(long, record())
        assert caught.value.status == 503
        return await service.answer(long, record())

    try:
        service.open(bundle)
        assert asyncio.run(work()) == asyncio.run(service.answer(PAIRS, record()))
    finally:
        service.close()


@pytest.mark.parametrize("unit", [b"0,", b"[],", b"{},", b'"",'])
def test_more_values_than_the_largest_request_has_become_no_objects(tasks, unit):
    task = tasks["generate_y"]
    body = b'{"instances": [' + unit * (4 * task.max_values + 1000) + b"0]}"
    with pytest.raises(Refused, match=f"at most {task.max_values} values") as caught:
        calls.read(Call(protocol="v1", model=task.name, body=body), tasks)
    assert caught.value.status == 400
    with pytest.raises(Refused, match=f"at most {task.max_values} values"):
        calls.read(Call(protocol="v2", model=task.name, body=body), tasks)


def test_the_default_limit_on_bytes_has_room_for_the_largest_request(bundle, tasks):
    shape = (64, *bundle.example_shape("x"))
    x = np.random.default_rng(0).random(shape)
    body = v1.orjson.dumps({"instances": x.tolist(), "parameters": {"seed": 1}})
    assert len(body) <= bytes_for(tasks.values())
    found = calls.read(Call(protocol="v1", model="generate_y", body=body), tasks)
    assert found.tensors["x"].shape == shape and found.rows == 64


def test_what_fails_is_refused_and_what_was_received_is_not_logged(caplog):
    pixel = "0.123456789"
    assert refusal_of(InvalidInput(f"x should be y. Received: {pixel}")).reason == "x should be y."
    refused = refusal_of(RuntimeError(pixel))
    assert (refused.status, refused.message) == (500, "Internal server error")
    assert "RuntimeError" in caplog.text and pixel not in caplog.text


class Sender:
    """A client that sends the parts of a body when it is told to."""

    def __init__(self):
        self.parts = asyncio.Queue()

    async def __call__(self):
        return await self.parts.get()

    def send(self, count, more=True):
        self.parts.put_nowait({"type": "http.request", "body": bytes(count), "more_body": more})


def test_bodies_take_bounded_memory_and_the_last_long_one_makes_room():
    async def main():
        bodies = Bodies(limits(max_bytes=10 * LARGE, max_buffer=5 * LARGE))

        async def read(sender):
            with bodies.place() as body:
                return len(await bodies.read(body, None, sender))

        first, second, short = Sender(), Sender(), Sender()
        tasks = [asyncio.create_task(read(sender)) for sender in (first, second, short)]
        first.send(2 * LARGE)
        await asyncio.sleep(0.01)
        second.send(2 * LARGE)
        await asyncio.sleep(0.01)
        short.send(10)
        first.send(2 * LARGE)
        await asyncio.sleep(0.01)
        with pytest.raises(Refused) as caught:
            await tasks[1]
        assert caught.value.status == 429
        first.send(0, more=False)
        short.send(0, more=False)
        assert [await tasks[0], await tasks[2]] == [4 * LARGE, 10]
        assert bodies._held == 0

    asyncio.run(main())


def test_a_body_ends_when_it_is_too_slow_or_its_client_is_gone():
    async def main():
        bodies = Bodies(limits(body_seconds=0.02))
        sender = Sender()
        sender.send(5)
        with bodies.place() as body, pytest.raises(Refused) as caught:
            await bodies.read(body, None, sender)
        assert caught.value.status == 408
        sender.parts.put_nowait({"type": "http.disconnect"})
        with bodies.place() as body, pytest.raises(Gone):
            await bodies.read(body, None, sender)
        assert bodies._held == 0

    asyncio.run(main())
