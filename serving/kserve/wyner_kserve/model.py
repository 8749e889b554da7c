"""One task of a bundle as a kserve model: what the protocols say of it."""

from __future__ import annotations

from typing import Any

from kserve import Model

from wyner_kserve.service import Service
from wyner_kserve.tasks import Task


class TaskModel(Model):
    """A model in kserve's lists; its requests go to the service.

    Args:
        name: by which clients ask for it.
        task: that it does.
        service: that does it.
    """

    def __init__(self, name: str, task: Task, service: Service) -> None:
        super().__init__(name)
        self._task = task
        self._service = service

    async def healthy(self) -> bool:
        """Whether it can be asked."""
        return self._service.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        """The inputs, for the protocol's metadata."""
        return [tensor.describe() for tensor in self._task.inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The outputs, for the protocol's metadata."""
        return [tensor.describe() for tensor in self._task.outputs]
