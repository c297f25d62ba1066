"""Configuration files: what is read, merged, placed, and every way of being wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from edgeface.base.errors import SettingsError
from edgeface.settings.camera import ImagesCamera, SimulatedCamera, StreamCamera, V4l2Camera
from edgeface.settings.loading import dump_settings, load_settings

Write = Callable[..., Path]

NEEDED = "site: hq\ndevice: door-1\ncamera: {source: v4l2}\n"

DEVICE_FAULT = "should be a number (0 is /dev/video0) or a path such as /dev/video0"


def faults(path: Path) -> list[str]:
    """The lines of the error without the folder of the file."""
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert caught.value.exit_code == 2
    return [line.removeprefix(f"{path.parent}/") for line in str(caught.value).splitlines()]


def test_three_keys_are_a_configuration(write: Write) -> None:
    settings = load_settings(write(NEEDED))
    assert (settings.site, settings.device) == ("hq", "door-1")
    assert isinstance(settings.camera, V4l2Camera)
    assert settings.state_dir == Path("/var/lib/edgeface")
    assert settings.device_key_file == Path("/var/lib/edgeface/device.key")
    assert settings.models.detector.name == "face_detector"
    assert settings.decision.target_fpir == 1e-3


def test_settings_cannot_be_changed(write: Write) -> None:
    settings = load_settings(write(NEEDED))
    with pytest.raises(ValueError, match="frozen"):
        settings.mqtt.host = "elsewhere"


def test_every_fault_is_told_at_once_with_its_line_and_column(write: Write) -> None:
    path = write("""\
        site: hq
        device: Door 1
        camera:
          source: v4l2
          fsp: 3
          size: [640]
          device: [1]
          fps: fast
        mqtt:
          host: broker.example
          port: 99999
          port: 1
        quality: 3
        galery: {}
        models: {threads: 0,
          accelerator: gpu}
        """)
    assert faults(path) == [
        "edgeface.yaml:2:1: device: should be 1 to 64 characters of a-z, 0-9 and -",
        "edgeface.yaml:5:3: camera.fsp: is not a known key; did you mean fps?",
        "edgeface.yaml:6:3: camera.size[1]: is missing",
        f"edgeface.yaml:7:3: camera.device: {DEVICE_FAULT}",
        "edgeface.yaml:8:3: camera.fps: should be a valid number",
        "edgeface.yaml:11:3: mqtt.port: should be less than or equal to 65535",
        "edgeface.yaml:12:3: mqtt.port: is given twice, first in line 11",
        "edgeface.yaml:13:1: quality: should be a section with keys of its own",
        "edgeface.yaml:14:1: galery: is not a known key; did you mean gallery?",
        "edgeface.yaml:15:10: models.threads: should be greater than or equal to 1",
        "edgeface.yaml:16:3: models.accelerator: should be 'auto', 'cpu', 'edgetpu' or 'delegate'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: [1", ["edgeface.yaml:1:6: is not YAML: "], id="unclosed-list"),
        pytest.param("a:\n\tb: 1", ["edgeface.yaml:2:1: is not YAML: "], id="tab"),
        pytest.param("- 1", ["edgeface.yaml:1:1: should be a mapping of sections"], id="list"),
        pytest.param("text", ["edgeface.yaml:1:1: should be a mapping of sections"], id="text"),
        pytest.param("a: &a [*a]", ["edgeface.yaml:1:4: has aliases that never end"], id="alias"),
        pytest.param("[" * 3000, ["edgeface.yaml:1:1: is nested too deeply"], id="deep"),
        pytest.param(
            NEEDED + "---\nx: 1", ["edgeface.yaml:4:1: is not YAML: "], id="second-document"
        ),
        pytest.param(
            NEEDED + "<<: {}\n",
            ["edgeface.yaml:4:1: <<: is not a known key"],
            id="merge-key",
        ),
        pytest.param(
            NEEDED + "1: 2\n",
            ["edgeface.yaml:4:1: has a key that is not a text"],
            id="number-as-key",
        ),
        pytest.param(
            NEEDED + "state_dir: !secret x\n",
            ["edgeface.yaml:4:1: state_dir: has the tag !secret, which is not known here"],
            id="unknown-tag",
        ),
        pytest.param(
            "site: hq\ndevice: d\ncamera: {source: webcam}\n",
            ["edgeface.yaml:3:10: camera.source: should be one of "],
            id="unknown-source",
        ),
        pytest.param(
            "site: hq\ndevice: d\ncamera:\n",
            ["edgeface.yaml:3:1: camera.source: is missing; one of "],
            id="empty-camera",
        ),
        pytest.param(
            "",
            [
                "edgeface.yaml:1:1: camera: is missing",
                "edgeface.yaml:1:1: device: is missing",
                "edgeface.yaml:1:1: site: is missing",
            ],
            id="empty-file",
        ),
        pytest.param(
            NEEDED + "mqtt: {cert_file: a}\n",
            ["edgeface.yaml:4:1: mqtt: cert_file and key_file belong together"],
            id="half-a-pair",
        ),
        pytest.param(
            NEEDED + "decision: {min_agreeing: 9}\n",
            ["edgeface.yaml:4:1: decision: best_frames 8 is below min_agreeing 9"],
            id="rules-that-contradict",
        ),
        pytest.param(
            NEEDED + "decision: {target_fpir: .inf}\n",
            ["edgeface.yaml:4:12: decision.target_fpir: should be a finite number"],
            id="infinity",
        ),
        pytest.param(
            NEEDED + "gallery: {encrypt: yes}\n",
            ["edgeface.yaml:4:11: gallery.encrypt: should be a valid boolean"],
            id="yes-is-a-text",
        ),
        pytest.param(
            NEEDED + "models: {threads: true}\n",
            ["edgeface.yaml:4:10: models.threads: should be a valid integer"],
            id="true-is-no-number",
        ),
        pytest.param(
            f"site: {'a' * 65}\ndevice: gallery\ncamera: {{source: v4l2}}\n",
            [
                "edgeface.yaml:1:1: site: should be 1 to 64 characters of a-z, 0-9 and -",
                "edgeface.yaml:2:1: device: 'gallery' is a reserved name of the topic tree",
            ],
            id="identifiers",
        ),
        pytest.param(
            NEEDED + f"outbox: {{max_events: {'9' * 5000}}}\n",
            ["edgeface.yaml:4:10: outbox.max_events: is not a number"],
            id="number-without-end",
        ),
    ],
)
def test_a_fault_has_one_line(write: Write, text: str, expected: list[str]) -> None:
    found = faults(write(text))
    assert len(found) == len(expected)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"site: a\ndevice: \xff\n", "2:9: is not UTF-8", id="latin-1"),
        pytest.param(b"site: a\ndevice: \x01\n", "2:9: holds a control character", id="control"),
    ],
)
def test_bytes_that_are_no_text_are_told_with_their_place(
    tmp_path: Path, data: bytes, expected: str
) -> None:
    path = tmp_path / "edgeface.yaml"
    path.write_bytes(data)
    assert faults(path) == [f"edgeface.yaml:{expected}"]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "none.yaml")


def test_scalars_are_those_of_yaml_1_2(write: Write) -> None:
    settings = load_settings(
        write("""\
        site: no
        device: "08"
        camera: {source: v4l2, name: 12:30, fps: 1.5e1, stall_timeout_s: 0x10}
        """)
    )
    assert (settings.site, settings.device, settings.camera.name) == ("no", "08", "12:30")
    assert isinstance(settings.camera, V4l2Camera)
    assert (settings.camera.fps, settings.camera.stall_timeout_s) == (15.0, 16.0)


def test_a_section_with_everything_commented_out_has_its_defaults(write: Write) -> None:
    assert load_settings(write(NEEDED + "mqtt:\n  # port: 1\n")).mqtt.port == 1883


def test_drop_ins_change_single_keys_in_the_order_of_their_names(write: Write) -> None:
    path = write(NEEDED + "mqtt: {host: first, port: 1, tls: 'off'}\n")
    write("mqtt: {port: 3}\ndevice: last\n", "conf.d/20-device.yaml")
    write("mqtt: {host: second, port: 2}\n", "conf.d/10-site.yaml")
    write("mqtt: {host: never}\n", "conf.d/.hidden.yaml")
    write("mqtt: {host: never}\n", "conf.d/30.yaml.disabled")
    settings = load_settings(path)
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.tls) == ("second", 3, "off")
    assert settings.device == "last"


def test_a_fault_is_told_in_the_drop_in_that_made_it(write: Write) -> None:
    path = write("site: hq\ncamera: {source: v4l2, fps: 10}\nmqtt: {port: 0}\n")
    write("camera:\n  fps: 0\nmqtt: {port: 1}\nlog:\n  level: loud\n", "conf.d/10.yaml")
    assert faults(path) == [
        "edgeface.yaml:1:1: device: is missing",
        "conf.d/10.yaml:2:3: camera.fps: should be greater than 0",
        "conf.d/10.yaml:5:3: log.level: should be 'debug', 'info', 'warning' or 'error'",
    ]


def test_another_source_in_a_drop_in_replaces_the_camera(write: Write) -> None:
    path = write("site: hq\ndevice: d\ncamera: {source: v4l2, device: 3}\n")
    write("camera: {source: images, folder: pictures}\n", "conf.d/10.yaml")
    camera = load_settings(path).camera
    assert isinstance(camera, ImagesCamera)
    assert camera.folder == path.parent / "conf.d" / "pictures"


def test_relative_paths_start_at_the_file_that_names_them(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        """\
        site: hq
        device: d
        state_dir: ../state
        camera: {source: simulated, photographs: [a.jpg, sub/b.jpg, /c.jpg]}
        models: {detector: ./mine, embedder: facenet}
        gallery: {key_file: keys/gallery}
        """,
        "etc/edgeface.yaml",
    )
    write("mqtt: {ca_file: ca.pem, tls: required}\n", "etc/conf.d/10.yaml")
    monkeypatch.chdir("/")
    settings = load_settings(path)
    here = tmp_path / "etc"
    assert settings.state_dir == tmp_path / "state"
    assert isinstance(settings.camera, SimulatedCamera)
    assert settings.camera.photographs == (here / "a.jpg", here / "sub/b.jpg", Path("/c.jpg"))
    assert settings.models.detector == here / "mine"
    assert settings.models.embedder.is_absolute()
    assert settings.gallery.key_file == here / "keys/gallery"
    assert settings.mqtt.ca_file == here / "conf.d/ca.pem"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("rtsp://camera:554/1", "rtsp://camera:554/1", id="address"),
        pytest.param("clip.mp4", "{here}/clip.mp4", id="relative-file"),
        pytest.param("/clips/clip.mp4", "/clips/clip.mp4", id="absolute-file"),
    ],
)
def test_a_stream_is_an_address_or_a_file(write: Write, url: str, expected: str) -> None:
    path = write(f"site: hq\ndevice: d\ncamera: {{source: stream, url: '{url}'}}\n")
    camera = load_settings(path).camera
    assert isinstance(camera, StreamCamera)
    assert camera.url == expected.format(here=path.parent)
    assert type(camera.url) is str


def test_a_credential_is_a_file_of_the_service(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(NEEDED + "mqtt: {username: d, password_file: credential:mqtt}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/somewhere")
    assert load_settings(path).mqtt.password_file == Path("/run/somewhere/mqtt")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    password_file = load_settings(path).mqtt.password_file
    assert password_file == Path("/run/credentials/edgeface.service/mqtt")
    assert faults(write(NEEDED + "state_dir: credential:../x\n"))[0].endswith(
        "should be credential:NAME, the name of a systemd credential"
    )


@pytest.mark.parametrize(
    ("mqtt", "uses_tls", "port"),
    [
        pytest.param("{}", False, 1883, id="loopback"),
        pytest.param("{host: 127.0.0.2}", False, 1883, id="loopback-address"),
        pytest.param("{host: '::1'}", False, 1883, id="loopback-ipv6"),
        pytest.param("{host: broker.example}", True, 8883, id="elsewhere"),
        pytest.param("{host: 10.0.0.1, tls: 'off'}", False, 1883, id="off"),
        pytest.param("{tls: required}", True, 8883, id="required"),
        pytest.param("{tls: required, port: 9}", True, 9, id="own-port"),
    ],
)
def test_tls_is_required_unless_the_broker_is_here(
    write: Write, mqtt: str, uses_tls: bool, port: int
) -> None:
    settings = load_settings(write(NEEDED + f"mqtt: {mqtt}\n"))
    assert (settings.mqtt.uses_tls, settings.mqtt.port) == (uses_tls, port)


def test_what_is_shown_can_be_read_again(write: Write) -> None:
    settings = load_settings(write(NEEDED))
    shown = dump_settings(settings)
    assert load_settings(write(shown, "shown.yaml")) == settings
    assert yaml.safe_load(shown)["camera"]["source"] == "v4l2"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("${CAMERA_URL}", "environment variables are not read"),
        ("rtsp://${USER}:x@camera/1", "environment variables are not read"),
        ("camera.local/stream", "should be an address (rtsp://HOST/..., http://HOST/...) or the"),
        ("camera", "a file of another name is written ./NAME"),
        ("rtsp:/cam", "names no host: rtsp://HOST/... is the form"),
        ("http://", "names no host: http://HOST/... is the form"),
        ("http:///stream", "names no host"),
        ("file:x", "names no file: file:///PATH is the form"),
        ("gopher://camera/1", "should begin with one of rtsp, rtsps, http"),
        ("rtsp://camera:99999/1", "its host or port cannot be"),
        ("http://[::1/1", "its host or port cannot be"),
        ("rtsp://user:secret#x@camera/1", "a password @ : / ? # are written %40 %3A"),
    ],
)
def test_a_stream_without_a_scheme_that_is_known_or_a_host_is_a_fault(
    write: Write, url: str, told: str
) -> None:
    path = write(f"site: hq\ndevice: d\ncamera: {{source: stream, url: '{url}'}}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    line = str(caught.value)
    assert line.startswith(f"{path}:3:26: camera.url: ")
    assert told in line
    assert "secret" not in line.replace("what is secret", "")
    assert "\n" not in line


def test_a_variable_of_the_environment_is_a_fault_wherever_it_stands(write: Write) -> None:
    path = write("site: hq\ndevice: ${HOST}\nmqtt: {host: '${BROKER}'}\ncamera: {source: v4l2}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    told = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in told] == ["device", "mqtt.host"]
    assert all("environment variables are not read" in line for line in told)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        pytest.param("127.0.0.1:9117", ("127.0.0.1", 9117), id="loopback"),
        pytest.param("localhost:9117", ("localhost", 9117), id="name-of-this-machine"),
        pytest.param("[::1]:9117", ("::1", 9117), id="ipv6"),
        pytest.param("0.0.0.0:9117", ("0.0.0.0", 9117), id="everywhere-when-written-out"),
        pytest.param("9117", None, id="port-alone"),
        pytest.param(":9117", None, id="no-address"),
        pytest.param("*:9117", None, id="star"),
        pytest.param("door.example:9117", None, id="name"),
        pytest.param("::1:9117", None, id="ipv6-without-brackets"),
        pytest.param("[127.0.0.1]:9117", None, id="brackets-around-ipv4"),
        pytest.param("127.0.0.1:0", None, id="port-0"),
        pytest.param("127.0.0.1:99999", None, id="port-beyond"),
    ],
)
def test_the_exporters_address_is_written_out(
    write: Write, listen: str, address: tuple[str, int] | None
) -> None:
    path = write(NEEDED + f"metrics: {{listen: '{listen}'}}\n")
    if address is None:
        (told,) = faults(path)
        assert "metrics.listen: should be ADDRESS:PORT with the address written out" in told
    else:
        assert load_settings(path).metrics.address == address


def test_one_thing_where_a_list_belongs_is_told_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "edgeface.yaml"
    file.write_text("site: hq\ndevice: d\ncamera: {source: simulated, photographs: a.png}\n")
    with pytest.raises(SettingsError, match=r"camera\.photographs: should be a list$"):
        load_settings(file)
