"""One task of a bundle as a kserve model."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Any

from kserve import InferRequest, InferResponse, Model
from kserve.errors import InvalidInput

from wyner_kserve import v1, v2
from wyner_kserve.tasks import Task
from wyner_serving import Bundle, InputError


class TaskModel(Model):
    """Answers requests of both protocols, in threads of its own: the event loop stays free.

    Args:
        name: by which clients ask for it.
        task: that it does.
        bundle: that computes.
        executor: of the threads; its size is how many requests are computed at once.
    """

    def __init__(self, name: str, task: Task, bundle: Bundle, executor: Executor) -> None:
        super().__init__(name, return_response_headers=True)
        self._task = task
        self._bundle = bundle
        self._executor = executor

    def load(self) -> bool:
        """Run the task once; ready from then on."""
        self._task.warm_up(self._bundle)
        self.ready = True
        return self.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """The inputs, for the protocol's metadata."""
        return [tensor.describe() for tensor in self._task.inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The outputs, for the protocol's metadata."""
        return [tensor.describe() for tensor in self._task.outputs]

    async def predict(
        self,
        payload: bytes | InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> bytes | InferResponse:
        """The answer to a V1 body or a V2 request; headers of the answer are added.

        Raises:
            InvalidInput: if the request is not as it should be.
        """
        loop = asyncio.get_running_loop()
        answer, found = await loop.run_in_executor(self._executor, self._answer, payload)
        if response_headers is not None:
            response_headers.update(found)
        return answer

    def _answer(
        self, payload: bytes | InferRequest
    ) -> tuple[bytes | InferResponse, dict[str, str]]:
        try:
            if isinstance(payload, bytes):
                tensors, settings, rows = v1.read(payload, self._task)
                results = self._task.run(self._bundle, tensors, settings)
                return v1.write(results, rows), {"Content-Type": "application/json"}
            tensors, settings = v2.read(payload, self._task)
            results = self._task.run(self._bundle, tensors, settings)
            return v2.write(payload, results, self.name)
        except InputError as error:
            raise InvalidInput(str(error)) from error
