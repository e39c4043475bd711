"""Make pictures from the numbers of samples: draw their parameters on the CPU, and render them on any device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from equicon.hands._rendered.background import Scene, draw_scene, paint_scene
from equicon.hands._rendered.cones import Cones, join
from equicon.hands._rendered.domain import Domain, find_domain
from equicon.hands._rendered.draws import Draws, select, to_device
from equicon.hands._rendered.flats import NUMBERS, around, beneath, draw_around, without
from equicon.hands._rendered.flesh import clothe
from equicon.hands._rendered.kinematics import Posed
from equicon.hands._rendered.limbs import rest_of_arm, upper_arm
from equicon.hands._rendered.motion import pose_clips
from equicon.hands._rendered.render import trace
from equicon.hands._rendered.sensor import Sensor, draw_sensor, expose
from equicon.hands._rendered.settings import Settings
from equicon.hands._rendered.shade import Look, draw_look, light_hand
from equicon.hands._rendered.shadow import compose
from equicon.hands._rendered.things import draw_arm, draw_occluder
from equicon.hands._skeleton import Hand

_AROUND = 2**8  # offset of the surroundings' random stream, so that they change nothing else


@dataclass(frozen=True)
class Solids:
    """Joints and intrinsics, all that is solid, and the light on it."""

    xyz: Tensor
    K: Tensor
    cones: Cones
    look: Look


@dataclass(frozen=True)
class Pictures:
    """All that is random in a batch: solid things and their light, background and camera."""

    solids: Solids
    scene: Scene
    sensor: Sensor


def render_hands(
    indices: Sequence[int], settings: Settings, *, version: int = 0, device: torch.device | str | None = None
) -> Hand:
    """Render a batch. Another version is the same hand in the same light, but before another background."""
    # On the CPU, as many images at a time as its cache holds; elsewhere, as many as keep the device busy.
    pixels = 2**19 if device is None or torch.device(device).type == "cpu" else 2**23
    chunk = max(1, pixels // settings.width**2)
    starts = range(0, max(1, len(indices)), chunk)
    drawn = (draw_pictures(indices[k : k + chunk], settings, version=version) for k in starts)
    parts = [_render(to_device(pictures, device), settings) for pictures in drawn]
    return Hand(*(torch.cat(field) for field in zip(*parts, strict=True)))


def draw_pictures(indices: Sequence[int], settings: Settings, *, version: int = 0) -> Pictures:
    """Draw and pose a batch, on the CPU."""
    domain = find_domain(settings.domain)
    scenes = [settings.group(index) for index in indices]  # within a scene, only the noise is a sample's own
    stream = domain.stream + 1 + version
    place = Draws.of(settings.seed, indices, stream, 200, scenes)
    scene = draw_scene(place.scene, domain)
    if not domain.thing:
        scene = replace(scene, flats=without(scene.flats))  # saves the work
    elif (count := around(settings.context)) > 0:
        more = Draws.of(settings.seed, indices, stream + _AROUND, NUMBERS * count, scenes)
        scene = replace(scene, flats=beneath(draw_around(more.scene, domain, settings.context), scene.flats))
    return Pictures(_draw_solids(indices, settings, domain), scene, draw_sensor(place, domain))


def _draw_solids(indices: Sequence[int], settings: Settings, domain: Domain) -> Solids:
    """Draw hands and the solid things around them. A clip is drawn as a whole, since it depends on all its frames."""
    clip = settings.clip
    clips = {number: place for place, number in enumerate(dict.fromkeys(index // clip for index in indices))}
    frames = [number for number in clips for _ in range(clip)]
    hand = pose_clips(list(clips), settings)
    K = hand.K.clone()
    K[:, :2, 2] += (settings.width - settings.size) / 2
    hand = replace(hand, K=K)

    scenes = [settings.scene(number) for number in frames] if settings.shares else None
    draws = Draws.of(settings.seed, frames, domain.stream, 100, scenes)  # the same in every version
    cones = _solid(draws, domain, hand, settings)
    solids = Solids(hand.xyz, hand.K, cones, draw_look(draws.scene, domain))
    rows = [clips[index // clip] * clip + index % clip for index in indices]
    return select(solids, torch.tensor(rows, dtype=torch.int64, device="cpu"))


def _solid(draws: Draws, domain: Domain, hand: Posed, settings: Settings) -> Cones:
    size, width, clip = settings.size, settings.width, settings.clip
    cones = clothe(hand, draws.scene.chance(domain.sleeve), clip)
    # The arm and the thing belong to the scene too: an arm of its own would tell a picture from others without the
    # pose.
    arm = draw_arm(draws.scene, domain, hand, cones, size, width)
    thing = draw_occluder(draws.scene, domain, hand, cones, clip)
    if width == size:
        return join(cones, arm, thing)
    return join(cones, upper_arm(cones, width), arm, rest_of_arm(arm, width), thing)


def _render(pictures: Pictures, settings: Settings) -> Hand:
    solids, size, width = pictures.solids, settings.size, settings.width
    lit = light_hand(trace(solids.cones, width), solids.look, width)
    light = compose(lit, paint_scene(pictures.scene, size, width), solids.look, size)
    return Hand(expose(light, pictures.sensor, size), solids.xyz, solids.K)
