"""Which sound and which motion a frame is given, against the released program's own bookkeeping."""

import numpy as np
import pytest
import torch
from fill_rule import SHAPES, case, fill, relative

from actalker.config import Encoders
from actalker.model.perception import Expression, HeadPose
from actalker.model.projections import MotionProjection
from actalker.signals.hidden_states import state_rows

CASES = {name: facts for name, facts in SHAPES["h"].items() if name != "rule"}


@pytest.fixture(scope="module")
def readers():
    files = SHAPES["files"]
    expression = files["vasa_ckpt.generator (expression_model.*)"]
    alone = {name.removeprefix("expression_model."): shape for name, shape in expression.items()}
    return (
        fill(Expression(), "expression", alone),
        fill(HeadPose(), "pose", files["vasa_ckpt.pose_model"]),
        fill(MotionProjection(Encoders(), 1024), "vasa_linear", files["vasa_linear"]),
    )


@pytest.mark.parametrize("name", CASES)
def test_a_frame_hears_the_rows_that_it_heard_in_the_release(name):
    facts = CASES[name]
    rows = state_rows(facts["frames"], 25 / facts["step"], 2 * facts["audio_len"])
    assert np.array_equal(rows, case("audio_windows", name)["window_index"].numpy())


@pytest.mark.parametrize("name", CASES)
def test_a_frame_sees_the_motion_that_it_saw_in_the_release(name, readers):
    facts, g = CASES[name], case("audio_windows", name)
    expression, head, project = readers
    rotation, translation = head(g["vasa_pose"])
    pose = torch.cat([rotation, 0 * translation], dim=1)
    tokens = project(expression(g["vasa_face"]), pose)
    places = [0 if facts["mode"] == 0 else i * facts["step"] for i in range(facts["frames"])]
    assert relative(tokens[places], g["vasa"]) < 2e-5
    nothing = project(torch.zeros(1, 512), torch.zeros(1, 6))
    assert relative(nothing.expand_as(g["uncond_vasa"]), g["uncond_vasa"]) < 2e-5


def test_other_frame_rates_keep_time():
    assert state_rows(3, 30, 99)[:, 4].tolist() == [0, 2, 3]
    assert state_rows(4, 12.5, 10)[3].tolist() == [8, 9, *[-1] * 8]
