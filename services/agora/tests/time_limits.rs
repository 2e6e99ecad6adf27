//! Time limits of the services along one request: each is longer than what it waits for.

use agora_outbound::CallLimits;

#[test]
fn rs4_every_time_limit_is_longer_than_what_it_waits_for() {
    let payment_of_an_order = [
        ("the provider", agora_payment::service::PROVIDER_TIMEOUT),
        ("payment's internal port", agora_payment::INTERNAL_TIMEOUT),
        ("a try of order's call to payment", agora_order::clients::payment::CALL_LIMITS.try_max),
        ("order's call to payment", agora_order::clients::payment::CALL_LIMITS.call_max),
        ("a port of a service", agora_web::PORT_TIMEOUT),
        ("the lease of a saga", agora_order::domain::LEASE),
        ("detached work", agora_web::WORK_TIME_MAX),
    ];
    let request_of_a_shopper = [
        ("the provider", agora_payment::service::PROVIDER_TIMEOUT),
        ("a port of a service", agora_web::PORT_TIMEOUT),
        ("the gateway's wait for a service", agora_gateway::SERVICE_ANSWER_BEGINS_MAX),
        ("the gateway", agora_gateway::ANSWER_BEGINS_MAX),
    ];
    let result_of_a_payment = [
        ("order's answer", agora_order::service::PAYMENT_RESULT_WITHIN),
        ("a try of payment's call", CallLimits::DEFAULT.try_max),
        ("payment's call", CallLimits::DEFAULT.call_max),
        ("detached work", agora_web::WORK_TIME_MAX),
    ];
    for chain in [&payment_of_an_order[..], &request_of_a_shopper[..], &result_of_a_payment[..]] {
        assert!(chain.is_sorted_by(|(_, inner), (_, outer)| inner < outer), "{chain:?}");
    }
}
