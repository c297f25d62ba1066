"""`verify`: is this the person whose card was presented? `identify`: who is there?"""

from __future__ import annotations

from dataclasses import replace

from edgeface.base.clock import NS
from edgeface.contract.answers import IdentifyData, VerifyData
from edgeface.contract.command_requests import Verify
from edgeface.recognition.assessment import Assessment
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.judge import Judge
from edgeface.recognition.liveness import NOT_ASSESSED, Liveness, fuse
from edgeface.recognition.pipeline import Sight
from edgeface.recognition.verification import Verification, verify
from edgeface.service.commanding.admission import Outcome, Request, refusing
from edgeface.service.commanding.challenging import Challenging
from edgeface.service.commanding.evidence import Evidence, Looks, seen, take_crop
from edgeface.service.commanding.peephole import Glance
from edgeface.service.sightings import match_of

MULTIPLE_FACES = refusing("multiple_faces", "more than one person stands at the door")
NO_FACE = refusing("no_face", "nobody stands at the door")


def _now_s(glance: Glance) -> float:
    """By the frames' clock."""
    return glance.frame.boottime_ns / NS


class Verifying:
    """One claim. Several people at the door end it at once: nobody knows whose card it was."""

    def __init__(
        self, request: Request, rules: DecisionRules, challenging: Challenging | None = None
    ) -> None:
        """`challenging`: what a match has to pass besides."""
        assert isinstance(request.command, Verify)
        self.request = request
        self._person_id = request.command.person_id
        self._evidence = Evidence(rules.best_frames, rules.same_track_min)
        self._looks = Looks(rules.min_agreeing, rules.max_looks)
        self._challenging = challenging
        self._assessment: Assessment | None = None
        self._first_ns: int | None = None
        """When the first good frame of this person was captured."""
        self._result: Verification | None = None
        self._face_seen = False
        self._known = False

    @property
    def is_challenge(self) -> bool:
        """Whether a match has to pass a challenge."""
        return self._challenging is not None

    def see(self, glance: Glance, *, last: bool) -> Outcome | None:
        """Take a frame. A match is answered at once, or when its challenge is over, as is somebody
        who is not enrolled; otherwise when no look is left or the time is over."""
        sights = glance.sights
        if len(sights) > 1:
            return MULTIPLE_FACES
        if not self._known:
            nothing_yet = self._compare(glance)
            if nothing_yet.outcome == "not_enrolled":
                return self._answer(glance, nothing_yet)
            self._known = True
        under_way = self._challenging is not None and self._challenging.begun
        if sights:
            self._face_seen = True
            if sights[0].gate is None:
                if not under_way:
                    self._take(glance, sights[0])
                self._observe(glance, sights[0])
        over = self._challenging is not None and self._challenging.see(glance)
        if under_way:
            # Somebody may have been removed from the gallery meanwhile.
            return self._answer(glance, self._compare(glance)) if over or last else None
        if self._ready(glance, last=last) and self._looks.due(self._evidence.taken, last=last):
            self._result = self._compare(glance)
            if self._result.outcome == "match" and not last and self._challenged(glance):
                return None
            if self._result.outcome == "match" or self._looks.exhausted:
                return self._answer(glance, self._result)
        if not last:
            return None
        if not self._face_seen:
            return NO_FACE
        return self._answer(glance, self._result or self._compare(glance))

    def _take(self, glance: Glance, sight: Sight) -> None:
        another = not self._evidence.take(take_crop(glance, sight), sight.track_id)
        if another:
            self._looks.begin_anew()
            self._result = None
        if another or self._first_ns is None:
            self._assessment, self._first_ns = glance.assessment(), glance.frame.boottime_ns

    def _observe(self, glance: Glance, sight: Sight) -> None:
        """How it moves, and what recognition has against it; of good frames alone: of others nobody
        knows whose face it is."""
        if self._assessment is not None:
            self._assessment.observe(glance.frame.image, sight.face, _now_s(glance), sight.accusing)

    def _ready(self, glance: Glance, *, last: bool) -> bool:
        """Whether the evidence of liveness has had its time; a challenge gives it as much more."""
        if last or self._challenging is not None:
            return True
        if self._assessment is None or self._first_ns is None:
            return True
        return not self._assessment.may_wait((glance.frame.boottime_ns - self._first_ns) / NS)

    def _challenged(self, glance: Glance) -> bool:
        """Put the challenge, where there is one, to whom it can still let pass."""
        if self._challenging is None:
            return False
        known = glance.backoff.against(self._liveness(glance), self._person_id, _now_s(glance))
        if known.live is False:
            return False
        self._challenging.begin(self._evidence, glance.sights[0].track_id)
        return True

    def _liveness(self, glance: Glance) -> Liveness:
        challenged = () if self._challenging is None else (self._challenging.source,)
        found = fuse(challenged) if challenged else NOT_ASSESSED
        if self._assessment is not None:
            least = glance.rules.decision.min_agreeing
            found = self._assessment.evidence(self._evidence.kept, least, *challenged)
        return replace(found, policy="challenge") if challenged else found

    def _compare(self, glance: Glance) -> Verification:
        evidence, gallery = self._evidence, glance.gallery
        # Before the first look there are fewer crops than any look needs.
        ready = evidence.taken >= glance.rules.decision.min_agreeing
        return verify(
            evidence.embeddings() if ready else evidence.embeddings()[:0],
            evidence.weights() if ready else evidence.weights()[:0],
            evidence.clear,
            self._person_id,
            gallery.index,
            gallery.allowed,
            glance.calibration,
            glance.verify_fmr,
            glance.rules.decision,
        )

    def _answer(self, glance: Glance, result: Verification) -> Outcome:
        # A match is answered in the frame of the look: these are the crops that it was taken at.
        named_by = result.named_by if result.outcome == "match" else None
        newest, liveness, withheld = self._evidence.newest(named_by), self._liveness(glance), False
        if result.outcome == "match":
            liveness = glance.backoff.judge(liveness, self._person_id, _now_s(glance))
            withheld = liveness.refusal is not None
            if self._challenging is not None and not withheld:
                # They were known along the turn: the frame that has ended it is the newest.
                newest = None
        data = VerifyData(
            person_id=self._person_id,
            outcome="rejected_pad" if withheld else result.outcome,
            score=None if result.score is None else round(result.score, 4),
            threshold=None if result.threshold is None else round(result.threshold, 4),
            threshold_extrapolated=result.extrapolated,
            seen=seen(
                glance,
                self.request,
                frames=len(self._evidence.kept),
                agreeing=result.agreeing,
                quality=self._evidence.best,
                captured_at=None if newest is None else newest.captured_at,
                liveness=liveness,
            ),
        )
        return lambda: data


class Identifying:
    """Who is at the door, judged as a track is, from frames of its own."""

    def __init__(self, request: Request, rules: DecisionRules) -> None:
        self.request = request
        self._rules = rules
        self._judge: Judge | None = None

    def see(self, glance: Glance, *, last: bool) -> Outcome | None:
        """Take a frame. A name is answered at once, `unknown` as soon as the judge says so."""
        sights = glance.sights
        if len(sights) > 1:
            return MULTIPLE_FACES
        if sights:
            self._take(glance, sights[0])
        if self._judge is None:
            return NO_FACE if last else None
        index, allowed = glance.gallery.index, glance.gallery.allowed
        now_s = _now_s(glance)
        decision = self._judge.look(index, allowed, now_s)
        if decision is None and last:
            decision = self._judge.close(index, allowed, now_s)
        return None if decision is None else self._answer(glance, decision)

    def _take(self, glance: Glance, sight: Sight) -> None:
        judge = self._judge
        if judge is None or sight.track_id != judge.track_id:
            judge = self._begin(glance, sight)
        if sight.gate is not None:
            judge.refuse(sight.gate, sight.quality)
            return
        judge.observe(glance.frame.image, sight.face, _now_s(glance), sight.accusing)
        crop = take_crop(glance, sight)
        if not judge.add(crop):
            self._begin(glance, sight).add(crop)

    def _begin(self, glance: Glance, sight: Sight) -> Judge:
        self._judge = Judge(
            sight.track_id,
            self._rules,
            glance.calibration,
            glance.moment,
            glance.assessment(),
            glance.backoff,
        )
        return self._judge

    def _answer(self, glance: Glance, decision: Decision) -> Outcome:
        data = IdentifyData(
            outcome=decision.outcome,
            match=match_of(decision),
            seen=seen(
                glance,
                self.request,
                frames=decision.frames,
                agreeing=decision.agreeing,
                quality=decision.quality,
                captured_at=decision.basis.captured_at if decision.frames else None,
                liveness=decision.liveness,
            ),
        )
        return lambda: data
