"""The training loop, for students and teachers, on one process or several; plain PyTorch.

One step: the method runs both models and returns loss terms, whose sum is minimised; once for the
whole batch, or for each of its micro batches. What the loop adds to a step does not wait for the
device (picking the tokens with a label, as losses on tokens do, waits for how many there are);
losses are looked at when the model is evaluated.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from raykd.data.base import Array, Batch
from raykd.errors import SetupError
from raykd.models.base import Outputs
from raykd.models.generation import TextEnds
from raykd.models.inference import no_gradient
from raykd.models.sharding import shard
from raykd.results.records import Evaluation
from raykd.training import checkpoint
from raykd.training.anatomy import LossAnatomy, sampled_steps
from raykd.training.batches import LengthGroupedBatches
from raykd.training.device import choose_precision, in_lockstep
from raykd.training.evaluate import score
from raykd.training.inference import InferenceSetup
from raykd.training.job import TrainJob as TrainJob
from raykd.training.job import TrainResult as TrainResult
from raykd.training.micro_batches import MicroBatches
from raykd.training.model_options import prepare_model
from raykd.training.optim import ELEMENTWISE, Optimizer
from raykd.training.pace import PACE
from raykd.training.seeding import (
    MAX_SEED,
    capture_random,
    derive_seed,
    restore_random,
    seed_everything,
)
from raykd.training.settings import FULL
from raykd.training.step import Step
from raykd.training.step_metrics import StepMetrics
from raykd.training.terms import LossTracker
from raykd.training.vocab_subset import VocabSubset


def train_model(job: TrainJob) -> TrainResult:
    """Train a model; call it on every rank.

    The result is a function of the job: generators are seeded here, so what the process did before
    does not matter. Each term is a mean over what it counts in all passes on all ranks together, so
    the gradient is the same for any number of ranks and micro batches (but for dropout, which each
    pass draws for itself); methods whose terms compare the items of a batch with each other say
    what they do.

    Raises:
        TrialError: A loss term, a prediction or a metric became NaN or infinite, or memory ran out
            and batches cannot be cut finer.
        SetupError: The asked precision does not exist here.
    """
    return _Training(job).run()


class _Training:
    """The state of one `train_model`."""

    def __init__(self, job: TrainJob) -> None:
        settings = job.settings
        sharded = settings.sharding == FULL and job.world.size > 1
        self.world = in_lockstep(job.world) if sharded else job.world
        self.job = job
        seed_everything(derive_seed(job.seed, "train", self.world.rank))
        if not sharded:
            job.model.to(self.world.device)
        prepare_model(job.model, settings, self.world.device)
        if sharded:
            shard(job.model, self.world.device)
        precision = choose_precision(settings.precision, self.world.device, job.model)
        read = [job.train] + ([job.validation] if job.validation is not None else [])
        # What a model writes may be any token of the vocabulary.
        whole = job.task.task_kind.generates or settings.optimizer not in ELEMENTWISE or sharded
        self.vocab_subset = VocabSubset(job.model, None if whole else read, [job.collator.pad_id])
        self.module = Step(
            job.model,
            job.method,
            job.task,
            job.teacher,
            precision=precision,
            world=self.world,
            text_ends=TextEnds(end=job.end_id, pad=job.collator.pad_id),
            packing=settings.packs,
        ).train()
        self.plan = self.module.plan
        self.batches = LengthGroupedBatches(
            lengths=job.train.lengths(),
            batch_size=settings.batch_size,
            seed=job.seed,
            grouped=settings.length_grouping,
        )
        self.micro_batches = MicroBatches(settings, job.train, job.collator, self.world)
        self.total = settings.epochs * len(self.batches)
        self.optimizer = Optimizer(self.plan.moved, settings, self.total, self.plan.norm)
        self.loss_tracker = LossTracker(self.world)
        self.metrics = StepMetrics(job.log_every, job.train.lengths(), self.world.device)
        self.anatomy = LossAnatomy(job.model, job.method, self.world)
        self.eval_steps = _eval_steps(len(self.batches), settings.evals_per_epoch)
        # Ranks that have a part of the weights each, of the student or of an online teacher, would
        # meet within each pass of a term.
        self.sampled = sampled_steps(
            [
                epoch * len(self.batches) + done
                for epoch in range(settings.epochs)
                for done in sorted(self.eval_steps)
            ],
            0 if self.world.lockstep else job.samples,
            derive_seed(job.seed, "looks") / MAX_SEED,
        )
        self.inference = InferenceSetup(settings, job.collator, self.world)
        self.step = 0
        self.history: list[Evaluation] = []
        self.began = self.saved = time.monotonic()
        self.unsaved = False

    def run(self) -> TrainResult:
        self._resume()
        stopped = self._replay_evaluations()
        if self.step == 0:
            self._calibrate()
        self.plan.equalise()
        while self.step < self.total and not stopped:
            stopped = self._epoch()
        self.vocab_subset.restore(self.optimizer.decay(self.step))
        return TrainResult(history=tuple(self.history), stopped=stopped, steps=self.step)

    def _calibrate(self) -> None:
        """Let the method look at the untrained pair, the same rows on every rank."""
        job = self.job
        rows = job.method.calibration_rows()
        if not rows:
            return
        order = np.random.default_rng(derive_seed(job.seed, "calibrate")).permutation(
            len(job.train)
        )[:rows]
        size = job.settings.eval_batch_size

        def seen() -> Iterator[tuple[Batch, Outputs, Outputs]]:
            for begin in range(0, len(order), size):
                batch = job.collator(job.train, order[begin : begin + size]).to(self.world.device)
                yield batch, self.module.forward_eval(batch), job.teacher(batch)

        with no_gradient(self.module):
            job.method.calibrate(seen())

    def _epoch(self) -> bool:
        """The rest of the present epoch; whether to stop."""
        number, done = divmod(self.step, len(self.batches))
        self.job.method.at_epoch(number, self.job.settings.epochs)
        batches = self.batches.epoch(number)
        while done < len(batches):
            for rows, parts in self.micro_batches.of(batches[done:]):
                anatomy = self.anatomy if self.step + 1 in self.sampled else None
                run = functools.partial(self.module.run, parts, rows, anatomy)
                result = self.micro_batches.attempt(run, rows, self.job.method)
                if result is None:
                    self.optimizer.forget()
                    break  # the same step again, and all that follow, in more passes
                due = self.metrics.due(self.step + 1)
                norm = self.optimizer.step(self.step, wants_norm=due)
                self.step += 1
                self.loss_tracker.add(result.terms, result.totals, result.values, self.step)
                self._note_step(rows, norm)
                done += 1
                if done in self.eval_steps and self._evaluate():
                    return True
        return False

    def _note_step(self, rows: Array, norm: Tensor | None) -> None:
        """Note a step for its metrics, and say those of the last ones when it is time."""
        PACE.made()
        self.metrics.add(rows)
        if self.metrics.due(self.step):
            terms = self.loss_tracker.recent(self.step)
            rate = self.optimizer.schedule.rate(self.step - 1)
            point = self.metrics.point(self.step, terms, rate, norm)
            if self.world.rank == 0:
                self.job.on_steps(point)

    def _evaluate(self) -> bool:
        """Evaluate, report, keep the state when it is time; whether to stop before the end."""
        job = self.job
        terms = self.loss_tracker.means(self.step)
        self.metrics.pause()
        texts = job.task.metric in job.task.text_metrics
        metrics = (
            score(job.model, job.task, job.validation, self.inference, texts=texts)
            if job.validation is not None
            else {}
        )
        evaluation = Evaluation(
            step=self.step,
            epoch=self.step / len(self.batches),
            seconds=time.monotonic() - self.began,
            metrics=dict(metrics),
            terms=terms,
            anatomy=self.anatomy.take(),
            micro_batch=self.micro_batches.rows,
        )
        self.history.append(evaluation)
        stop, save = self._decide(evaluation)
        if self.step == self.total:
            return False
        if save and not stop:
            self._save()
        self.metrics.resume()
        return stop

    def _decide(self, evaluation: Evaluation) -> tuple[bool, bool]:
        """Rank 0's decisions, on every rank: stop, and save the state."""
        decision = (True, False)
        try:
            if self.world.rank == 0:
                stop = bool(self.job.on_evaluation(evaluation))
                due = time.monotonic() - self.saved >= self.job.state_every_s
                decision = (stop, self.job.state_path is not None and due)
        finally:
            # Also when `on_evaluation` raises: the other ranks wait for a decision, and then stop.
            decision = self.world.broadcast(decision)
        return decision

    def _replay_evaluations(self) -> bool:
        """Pass on the evaluations before the saved state again; whether to stop."""
        return any(self._decide(evaluation)[0] for evaluation in tuple(self.history))

    def _identity(self) -> str:
        return f"{derive_seed(self.job.seed, repr(self.job.settings), len(self.job.train)):08x}"

    def _save(self) -> None:
        random = self.world.gather(capture_random(self.world.device))
        kept = {name: value.cpu() for name, value in self.job.method.state_dict().items()}
        remembered = self.world.gather(kept)
        weights = self.plan.weights()
        moments = self.plan.moments(self.optimizer.moments(), self.optimizer.trained)
        if self.world.rank == 0:
            assert self.job.state_path is not None
            state = checkpoint.TrainState(
                identity=self._identity(),
                step=self.step,
                micro_batch=self.micro_batches.rows,
                seconds=time.monotonic() - self.began,
                history=tuple(self.history),
                weights=weights,
                moments=moments,
                random=tuple(random),
                methods=tuple(remembered),
            )
            try:
                checkpoint.save(state, self.job.state_path)
            except SetupError as exc:
                # A full disk is not the trial's failure, and a state is not its result.
                if not self.unsaved:
                    self.job.note(f"{exc}; the training continues without it")
                self.unsaved = True
        self.saved = time.monotonic()

    def _resume(self) -> None:
        """Resume from a saved state if there is one that can be read and is of this training."""
        path = self.job.state_path
        whole: checkpoint.TrainState | None = None
        if path is not None and self.world.rank == 0 and path.exists():
            try:
                whole = checkpoint.load_own(path, self._identity())
            except SetupError as exc:
                self.job.note(f"{exc}; the training starts again")
        state: checkpoint.TrainState | None = self.world.broadcast(
            None if whole is None else whole.without_tensors()
        )
        if state is None:
            return
        self.plan.restore(whole, self.optimizer.trained, self.optimizer.restore)
        self.step = state.step
        self.micro_batches.resume_with(state.micro_batch)
        self.history = list(state.history)
        self.began = time.monotonic() - state.seconds
        if len(state.random) == self.world.size:
            restore_random(state.random[self.world.rank], self.world.device)
            self.job.method.load_state_dict(state.methods[self.world.rank])
        else:
            # Made by another number of ranks: neither the generators nor what each rank's method
            # remembers can continue; a fixed seed can.
            seed_everything(derive_seed(self.job.seed, "train", self.world.rank, self.step))


def _eval_steps(per_epoch: int, evaluations: int) -> frozenset[int]:
    """Positions in an epoch (from 1) after which to evaluate; its end is always one."""
    return frozenset(max(1, round(per_epoch * k / evaluations)) for k in range(1, evaluations + 1))
