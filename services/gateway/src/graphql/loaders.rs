//! Objects by id: those of one type that the fields of a request need at the same time are read with one call, and each once.
//! Must not know any type of the schema.

use std::{collections::HashMap, marker::PhantomData};

use agora_api::Route;
use agora_chassis::{Process, deadline};
use async_graphql::{
    Context, ID,
    dataloader::{DataLoader, HashMapCache, Loader},
};
use futures::future::BoxFuture;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    caller::Caller,
    fault::{Answer, Fault},
};

/// Objects that one call reads at most: a limit of the services.
const BATCH_MAX: usize = 100;

/// A type whose objects a service lists by their ids.
pub trait ListedById: Clone + DeserializeOwned + Send + Sync + 'static {
    /// A list with the parameter `ids`.
    const LIST: Route;

    /// The id by which the list finds it.
    fn object_id(&self) -> &ID;
}

/// The objects of one type for one request.
pub type LoaderOf<T> = DataLoader<ById<T>, HashMapCache>;

/// Reads objects for a [`LoaderOf`] them.
pub struct ById<T> {
    caller: Caller,
    kind: PhantomData<fn() -> T>,
}

/// The loader of a request. Its calls are tasks of the process.
pub fn loader<T: ListedById>(caller: Caller, process: Process) -> LoaderOf<T> {
    let by_id = ById { caller, kind: PhantomData };
    let spawn = move |load: BoxFuture<'static, ()>| process.track(deadline::carried(load));
    DataLoader::with_cache(by_id, spawn, HashMapCache::default()).max_batch_size(BATCH_MAX)
}

/// The object with this id; null if it does not exist, or the client must not see it.
pub async fn linked<T: ListedById>(context: &Context<'_>, id: &ID) -> Answer<T> {
    context.data_unchecked::<LoaderOf<T>>().load_one(id.to_string()).await.transpose()
}

/// A page of a list.
#[derive(Deserialize)]
struct Listed<T> {
    items: Vec<T>,
}

impl<T: ListedById> Loader<String> for ById<T> {
    type Value = T;
    type Error = Fault;

    async fn load(&self, ids: &[String]) -> Result<HashMap<String, T>, Fault> {
        let list: Listed<T> = self.caller.call(T::LIST, []).query("ids", Some(ids.join(","))).json().await?;
        Ok(list.items.into_iter().map(|object| (object.object_id().to_string(), object)).collect())
    }
}
