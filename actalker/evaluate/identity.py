"""Whether a network takes the face for the same person: ArcFace, if InsightFace's model is on the disk.

It is never fetched: the model is for non-commercial research only, and nothing here needs it.
"""

from pathlib import Path

import numpy as np

from actalker.errors import InputError
from actalker.evaluate.patches import similarity_matrix
from actalker.signals.face import Face

HOME = Path("~/.insightface/models")  # where InsightFace keeps its models
FILE = "w600k_r50.onnx"  # ArcFace, ResNet-50, of the set buffalo_l
SIDE = 112  # px of the network's input
# Where ArcFace wants both eyes, the nose's tip and the corners of the mouth, in px, and where they are in the mesh.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
POINTS = [468, 473, 4, 61, 291]


def find_arcface() -> Path | None:
    """The model's file in InsightFace's own folder, if it is there."""
    return next(iter(sorted(HOME.expanduser().glob(f"*/{FILE}"))), None)


class ArcFace:
    """An ONNX network, (1, 3, 112, 112) float32 RGB in [-1, 1] -> (1, d)."""

    def __init__(self, path: Path):
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as fault:
            raise InputError(f"{path} is not an ONNX network; give InsightFace's {FILE}.") from fault
        self._input = self._session.get_inputs()[0].name

    def embed(self, picture: np.ndarray, face: Face) -> np.ndarray:
        """(d,) of unit length for the face in a picture (h, w, 3)."""
        tensor = (aligned(picture, face).astype(np.float32) - 127.5) / 127.5
        (found,) = self._session.run(None, {self._input: tensor.transpose(2, 0, 1)[None]})
        return found[0] / np.linalg.norm(found[0])


def aligned(picture: np.ndarray, face: Face) -> np.ndarray:
    """(112, 112, 3) the face with its eyes, nose and mouth where ArcFace wants them, by the best similarity."""
    import cv2

    matrix = similarity_matrix(face.points[POINTS, :2], TEMPLATE)
    return cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def similarity(embeddings: np.ndarray, photo: np.ndarray) -> float:
    """Mean cosine of a clip's ArcFace embeddings (n, d) with the photo's (d,), all of unit length.

    -1 to 1, no unit: above 0.6 is commonly held to be good, and below 0.3 to be another person. Fooled by: a frozen
    photo scores 1; big turns and closed eyes lower it; pictures from one camera look more alike. Faces are aligned by
    our mesh, not by RetinaFace's five points, which may move it by some hundredths.
    """
    return float((embeddings @ photo).mean()) if len(embeddings) else float("nan")
