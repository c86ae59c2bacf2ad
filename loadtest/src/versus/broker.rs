//! Starts the brokers that people show live numbers with, each as a process with a configuration for this machine.

use super::wire_protocol::WireProtocol;
use crate::arguments::Rival;
use crate::clock::now;
use crate::cluster::layout::Ports;
use crate::cluster::process::{Act, ProcessKind, ServerProcess};
use countree_common::shell::failure::Failure;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A server that does not answer after this long won't.
const START: Duration = Duration::from_secs(20);
const START_POLL: Duration = Duration::from_millis(20);
const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// One broker.
pub(super) struct Broker {
    pub(super) wire_protocol: WireProtocol,
    pub(super) port: u16,
    process: ServerProcess,
}

impl Broker {
    /// Starts it; `None` when it is not installed.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) async fn start(rival: Rival, folder: &Path) -> Result<Option<Self>, Failure> {
        let port = Ports::default().next()?;
        let file = folder.join("broker.conf");
        let at = file.display().to_string();
        let (wire_protocol, program, settings, arguments) = match rival {
            Rival::Nats => {
                let arguments = vec!["-a".into(), "127.0.0.1".into(), "-p".into(), port.to_string()];
                (WireProtocol::Nats, "nats-server", String::new(), arguments)
            }
            Rival::Mosquitto => {
                let settings =
                    format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest stderr\n");
                (WireProtocol::Mqtt, "mosquitto", settings, vec!["-c".into(), at])
            }
            Rival::Nchan => {
                if !Path::new(NCHAN).exists() {
                    return Ok(None);
                }
                let prefix = folder.display().to_string();
                (
                    WireProtocol::WebSocket,
                    "nginx",
                    nchan(port, folder),
                    vec!["-p".into(), prefix, "-c".into(), at],
                )
            }
            Rival::Redis => return Ok(None),
        };
        let Some(program) = find(program) else { return Ok(None) };
        fs::write(&file, settings)?;
        let process = ServerProcess {
            name: rival.name().into(),
            kind: ProcessKind::Rival,
            url: None,
            program,
            arguments,
            log: folder.join("broker.log"),
            data: None,
            child: None,
        };
        let mut broker = Self { wire_protocol, port, process };
        broker.process.act(Act::Start)?;
        let deadline = now() + START;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if now() > deadline {
                return Err(Failure::failed(format!(
                    "{} says {}",
                    rival.name(),
                    broker.process.last_words()
                )));
            }
            tokio::time::sleep(START_POLL).await;
        }
        Ok(Some(broker))
    }

    /// Its processor time so far.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn seconds(&self) -> Result<f64, Failure> {
        crate::cluster::usage::seconds(&self.process.id().unwrap_or_default().to_string())
    }
}

/// Finds a server's program. Debian keeps servers in folders that are not in every PATH.
pub(super) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// One process, so that its time is all there is; no log of requests.
fn nchan(port: u16, folder: &Path) -> String {
    let at = folder.display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = paths.iter().map(|name| format!("{name}_temp_path {at}/{name};\n")).collect();
    format!(
        "load_module {NCHAN};\ndaemon off; master_process off; pid {at}/pid; error_log stderr error;\n\
         worker_rlimit_nofile 65536;\nevents {{ worker_connections 32768; }}\nhttp {{ access_log off;\n{paths}\
         server {{ listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000;\n\
         location /pub {{ nchan_publisher http; nchan_channel_id show; nchan_message_buffer_length 16; }}\n\
         location /sub {{ nchan_subscriber websocket; nchan_channel_id show; \
         nchan_subscriber_first_message newest; }}\n}} }}\n"
    )
}
