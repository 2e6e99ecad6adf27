//! The ports of the pods behind Services that data servers of Marketplaces are reached at. Read at most once per minute and
//! Service, for all Marketplaces together.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ListParams};
use tokio::time::{Instant, timeout};

use crate::decide::in_cluster::{ServiceAddress, TargetPorts, target_ports};

/// Time for which an answer is used.
pub const AGE_MAX: Duration = Duration::from_mins(1);
/// Time that the API server has for one Service.
const READ_MAX: Duration = Duration::from_secs(2);
/// A Service of a data server has a few endpoints, and so has one slice.
const SLICES_MAX: u32 = 16;

#[derive(Debug, Default)]
pub struct Endpoints(Mutex<BTreeMap<ServiceAddress, (Instant, TargetPorts)>>);

impl Endpoints {
    /// The ports of the pods behind each address. If the API server does not answer, those of the last answer.
    pub async fn read(&self, client: &Client, addresses: Vec<ServiceAddress>) -> BTreeMap<ServiceAddress, TargetPorts> {
        let read = addresses.into_iter().map(async |address| {
            let ports = self.one(client, &address).await;
            (address, ports)
        });
        join_all(read).await.into_iter().collect()
    }

    async fn one(&self, client: &Client, address: &ServiceAddress) -> TargetPorts {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned();
        if let Some((at, ports)) = &last
            && at.elapsed() < AGE_MAX
        {
            return ports.clone();
        }
        let ports = match timeout(READ_MAX, read(client, address)).await {
            Ok(Ok(Some(ports))) => TargetPorts::Known(ports),
            Ok(Ok(None)) => TargetPorts::Forbidden,
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => TargetPorts::Forbidden,
            Ok(Err(_)) | Err(_) => return last.map_or(TargetPorts::Unread, |(_, ports)| ports),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Addresses that no Marketplace names any more are not read again.
        all.retain(|_, (at, _)| at.elapsed() < AGE_MAX * 10);
        all.insert(address.clone(), (Instant::now(), ports.clone()));
        ports
    }
}

/// `None` if the ports are known only from endpoints, which the operator may not read.
async fn read(client: &Client, address: &ServiceAddress) -> Result<Option<Vec<i32>>, kube::Error> {
    let services: Api<Service> = Api::namespaced(client.clone(), &address.namespace);
    let Some(service) = services.get_opt(&address.name).await? else { return Ok(Some(Vec::new())) };
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &address.namespace);
    let of_service =
        ListParams::default().labels(&format!("kubernetes.io/service-name={}", address.name)).limit(SLICES_MAX);
    let slices = match slices.list(&of_service).await {
        Ok(slices) => Some(slices.items),
        Err(kube::Error::Api(status)) if status.code == 403 => None,
        Err(error) => return Err(error),
    };
    Ok(target_ports(&service, slices.as_deref(), address.port))
}
