//! The store of address books.

use agora_outbox::{DedupKey, Outcome};
use agora_user::{
    domain::{ADDRESSES_MAX, BookEntry},
    ports::UserError,
};
use agora_vocab::{Address, AddressId, Country, UserId};

use super::{account, ada, id, request};
use crate::fixture::database;

fn entry(n: u128, street: &str) -> BookEntry {
    let address = Address {
        recipient: Some("Ada Lovelace".into()),
        street: street.into(),
        city: "London".into(),
        state: None,
        postal_code: Some("W1".into()),
        country: Country::parse("GB").unwrap(),
    };
    BookEntry { id: AddressId::new(id(n)), address }
}

#[tokio::test]
async fn id13_an_address_book_is_its_owners_alone() {
    let database = &database().await;
    let ada = ada(database).await;
    let eve =
        database.users().register(&account(2, "eve@example.com", None), &DedupKey::None).await.unwrap().into_inner();
    let book = database.addresses();
    let dedup_key = request(ada.id, "k", 1);
    assert_eq!(
        book.add(ada.id, &entry(20, "Old Street 1"), &dedup_key).await.unwrap(),
        Outcome::Applied(entry(20, "Old Street 1"))
    );
    let repeated = book.add(ada.id, &entry(21, "Old Street 1"), &dedup_key).await.unwrap();
    assert_eq!(repeated, Outcome::Duplicate(entry(20, "Old Street 1")));
    book.add(ada.id, &entry(22, "New Street 2"), &DedupKey::None).await.unwrap();

    let (first, moved) = (entry(20, "Old Street 1"), entry(20, "Old Street 3"));
    assert_eq!(book.find(eve.id, first.id).await.unwrap(), None);
    assert_eq!(book.replace(eve.id, &moved, &DedupKey::None).await.unwrap(), None);
    assert_eq!(book.remove(eve.id, first.id, &DedupKey::None).await.unwrap(), None);
    assert_eq!(book.list(eve.id).await.unwrap(), []);
    assert_eq!(book.find(ada.id, first.id).await.unwrap(), Some(first.clone()));

    assert_eq!(book.replace(ada.id, &moved, &DedupKey::None).await.unwrap(), Some(Outcome::Applied(moved.clone())));
    assert_eq!(book.list(ada.id).await.unwrap(), [moved, entry(22, "New Street 2")]);
    assert_eq!(book.remove(ada.id, first.id, &DedupKey::None).await.unwrap(), Some(Outcome::Applied(())));
    assert_eq!(book.remove(ada.id, first.id, &DedupKey::None).await.unwrap(), None);
    assert_eq!(book.list(ada.id).await.unwrap(), [entry(22, "New Street 2")]);
}

#[tokio::test]
async fn an_address_book_is_limited() {
    let database = &database().await;
    let ada = ada(database).await;
    for n in 0..ADDRESSES_MAX as u128 {
        database.addresses().add(ada.id, &entry(100 + n, "Street"), &DedupKey::None).await.unwrap();
    }
    let full = database.addresses().add(ada.id, &entry(999, "Street"), &DedupKey::None).await;
    assert!(matches!(full, Err(UserError::BookFull)), "{full:?}");
    let no_account = database.addresses().add(UserId::new(id(99)), &entry(998, "Street"), &DedupKey::None).await;
    assert!(matches!(no_account, Err(UserError::NoOwner)), "{no_account:?}");
    assert_eq!(database.addresses().list(ada.id).await.unwrap().len(), ADDRESSES_MAX);
}
