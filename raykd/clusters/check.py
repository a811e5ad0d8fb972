"""All findings on a cluster file, before money is spent on it."""

from __future__ import annotations

from dataclasses import dataclass

from raykd import registry
from raykd.clusters import kuberay, launcher
from raykd.clusters.base import Client, ClusterFile, Rule
from raykd.clusters.document import read_documents
from raykd.clusters.estimate import Estimate, estimate
from raykd.errors import Problem, SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was found out about a file.

    Attributes:
        provider: Who gives the machines: ``aws``, ``local``, ``kuberay`` ...
        max_workers: Most machines besides the head.
        problems: Errors and warnings by line.
        estimate: Slots and cost; None where the machines are not known (``local``).
    """

    provider: str
    max_workers: int
    problems: tuple[Problem, ...]
    estimate: Estimate | None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What must be changed."""
        return tuple(p for p in self.problems if p.level == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What should be looked at."""
        return tuple(p for p in self.problems if p.level == "warning")


def check(path: str, client: Client) -> Checked:
    """Check a file for ``ray up`` or KubeRay.

    Raises:
        SpecError: It is no such file, or Ray itself refuses it.
    """
    documents = read_documents(path)
    if kuberay.is_kuberay(documents):
        problems, cost = kuberay.check(documents, client)
        workers = sum(row.most for row in cost.rows[1:])
        return _checked("kuberay", workers, problems, cost)
    if len(documents) > 1:
        message = f"not a ray up file: it holds {len(documents)} documents"
        raise SpecError(problems=[documents[1].problem((), message)])
    config = launcher.load(documents[0])
    cluster = ClusterFile(document=documents[0], config=config, client=client)
    problems = [p for rule in rules() for p in rule.check(cluster)]
    hourly = None if cluster.provider == "local" else estimate(cluster)
    return _checked(cluster.provider, cluster.max_workers, problems, hourly)


def rules() -> tuple[Rule, ...]:
    """Every rule, by name."""
    return tuple(registry.load("cluster_rules", n) for n in registry.names("cluster_rules"))


def _checked(
    provider: str, max_workers: int, problems: list[Problem], cost: Estimate | None
) -> Checked:
    in_order = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
    return Checked(provider=provider, max_workers=max_workers, problems=in_order, estimate=cost)
