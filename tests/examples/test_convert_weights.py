import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load

from equicon.recipes import build_encoder

main = load("convert_weights.py").main


def test_it_writes_what_torchvision_and_the_examples_load(tmp_path, capsys):
    source, target = tmp_path / "released.pth", tmp_path / "new" / "encoder.pt"
    state = torchvision.models.resnet18().state_dict()
    torch.save({"state_dict": {f"backend_model.{name}": value for name, value in state.items()}}, source)
    main([str(source), str(target)])
    assert capsys.readouterr().out == f"{target}: {len(state) - 2} tensors\n"
    plain = torch.load(target, weights_only=True)
    result = torchvision.models.resnet18().load_state_dict(plain, strict=False)
    assert result.missing_keys == ["fc.weight", "fc.bias"]
    assert not result.unexpected_keys
    encoder, _ = build_encoder("resnet18", str(target))
    assert torch.equal(encoder.state_dict()["conv1.weight"], state["conv1.weight"])


def test_it_says_what_is_wrong_and_overwrites_nothing(tmp_path):
    source, target = tmp_path / "source.pt", tmp_path / "target.pt"
    torch.save({"stem": torch.zeros(1)}, source)
    with pytest.raises(SystemExit, match=r"source\.pt: expected the weights of an encoder"):
        main([str(source), str(target)])
    with pytest.raises(SystemExit, match="No such file"):
        main([str(tmp_path / "nowhere.pt"), str(target)])
    assert not target.exists()
    target.write_text("kept")
    with pytest.raises(SystemExit, match=r"TARGET: .*target\.pt exists"):
        main([str(source), str(target)])
    assert target.read_text() == "kept"
