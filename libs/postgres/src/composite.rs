//! Composite types: how rows travel as one parameter.

/// Names the PostgreSQL type of a struct that derives [`sqlx::Encode`], and that of its arrays. For structs that are only
/// sent, which may borrow; `sqlx::Type` asks for a struct that can also be read.
///
/// ```
/// #[derive(sqlx::Encode)]
/// struct Line<'a> {
///     name: &'a str,
/// }
/// agora_postgres::composite!(Line<'_>, "order_line");
/// ```
#[macro_export]
macro_rules! composite {
    ($row:ty, $name:literal) => {
        impl ::sqlx::Type<::sqlx::Postgres> for $row {
            fn type_info() -> ::sqlx::postgres::PgTypeInfo {
                ::sqlx::postgres::PgTypeInfo::with_name($name)
            }
        }

        impl ::sqlx::postgres::PgHasArrayType for $row {
            fn array_type_info() -> ::sqlx::postgres::PgTypeInfo {
                ::sqlx::postgres::PgTypeInfo::array_of($name)
            }
        }
    };
}
