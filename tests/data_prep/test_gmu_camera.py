import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from toy_kitchen import back_project

from data_prep.kitchen.gmu.camera import Calibration, Pose, distances, project

angles = st.floats(-180, 180)
coordinates = st.floats(-5, 5)


@given(
    st.tuples(angles, angles, angles),
    st.tuples(coordinates, coordinates, coordinates),
    st.tuples(st.floats(0, 1919), st.floats(0, 1079)),
    st.floats(0.3, 8),
    st.floats(-8, -1),
)
def test_back_projection_inverts_projection(turn, translation, pixel, metres, scale):
    pose = Pose(Rotation.from_euler("xyz", turn, degrees=True).as_matrix(), np.array(translation))
    calibration = Calibration(1047.8, 1051.2, 959.3, 529.1)
    world = back_project(np.array([pixel]), np.array([metres]), scale, pose, calibration)
    pixels, z = project(world, pose, calibration)
    np.testing.assert_allclose(pixels, [pixel], atol=1e-6)
    np.testing.assert_allclose(z / scale, [metres], rtol=1e-9)


def test_projection_follows_upstreams_signs():
    """Z is negative before the camera; +x is right, +y is up and so towards row 0."""
    pixels, z = project(
        np.array([[0, 0, -2.0], [1, 0, -2.0], [0, 1, -2.0], [0, 0, 2.0]]),
        Pose(np.eye(3), np.zeros(3)),
        Calibration(100, 200, 50, 60),
    )
    np.testing.assert_allclose(pixels[:3], [[50, 60], [100, 60], [50, -40]])
    assert np.isnan(pixels[3]).all()  # behind the camera
    np.testing.assert_allclose(z, [-2, -2, -2, 2])


def test_distance_runs_along_the_ray():
    calibration = Calibration(100, 100, 0, 0)
    pixels = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 75.0]])
    np.testing.assert_allclose(distances(pixels, np.full(3, 2.0), calibration), [2, 2 * 2**0.5, 2.5])
