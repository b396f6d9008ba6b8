import numpy as np
import torch

from training import artifact
from training.dataset import Part, build
from training.model import QuantileNet, merged, prepare, shrunk, standard, tensors_of
from twin.features import FEATURES


def network(seed, inputs):
    torch.manual_seed(seed)
    net = QuantileNet(12).eval()
    torch.nn.init.normal_(net.layers[-1].weight, std=0.2)
    return net, tensors_of(net, standard(inputs))


def inputs_of(rows=50):
    rng = np.random.default_rng(1)
    inputs = rng.normal(0, 5, (rows, len(FEATURES))).astype(np.float32)
    inputs[:, :3].sort(axis=1)
    inputs[:, 3] = rng.random(rows)
    inputs[rng.random(inputs.shape) < 0.1] = np.nan
    return inputs


def test_numpy_and_torch_give_the_same_answers():
    inputs = inputs_of()
    net, tensors = network(5, inputs)

    ours = artifact.forward(tensors, inputs)

    with torch.no_grad():
        theirs = net(*prepare(inputs, tensors, torch.device("cpu"))).numpy()
    np.testing.assert_allclose(ours[:, :3], np.sort(theirs[:, :3], axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours[:, 3], 1 / (1 + np.exp(-theirs[:, 3])), rtol=1e-4, atol=1e-5)


def test_an_untrained_network_answers_what_the_lane_table_answers(columns, now_us):
    dataset = build(columns, now_us)
    inputs = dataset.test.inputs

    answers = artifact.forward(tensors_of(QuantileNet(12), standard(inputs)), inputs)

    np.testing.assert_allclose(answers[:, 1], dataset.baseline.p50, atol=1e-4)
    np.testing.assert_allclose(answers[:, 2], dataset.baseline.p90, atol=1e-4)


def test_a_merged_network_answers_the_mean_of_its_members():
    inputs = inputs_of()
    members = [network(seed, inputs) for seed in (1, 2, 3)]

    whole = merged([tensors for _, tensors in members])

    ready = prepare(inputs, whole, torch.device("cpu"))
    with torch.no_grad():
        mean = np.mean([net(*ready).numpy() for net, _ in members], axis=0)
    ours = artifact.forward(whole, inputs)
    np.testing.assert_allclose(ours[:, :3], np.sort(mean[:, :3], axis=1), rtol=1e-3, atol=1e-3)


def test_corrections_that_do_not_carry_over_are_taken_back():
    inputs = inputs_of()
    _, tensors = network(5, inputs)
    base = artifact.lane_base(inputs)
    part = Part(inputs, base[:, 1], (np.arange(len(inputs)) % 2).astype(np.float32))

    ours = artifact.forward(shrunk(tensors, part), inputs)

    untouched = ~np.isnan(inputs[:, :3]).any(axis=1)
    np.testing.assert_allclose(ours[untouched, 1], base[untouched, 1], atol=1e-4)
