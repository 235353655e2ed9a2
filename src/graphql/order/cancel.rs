//! `cancelOrder`: by its customer within the event's rule, or by staff of the event's organizer.

use async_graphql::{Context, ID, InputObject, Object, OutputType, Result, SimpleObject};

use super::Order;
use crate::{
    auth::{Account, Caller, Denial, Permission},
    graphql::{
        access::permit,
        caller, deadline,
        desk::{
            Asked, CancelOrderUserError, Code, Fields, PurchaseHoldUserError, Reason, Subject,
            ask_for_order, read_items, split, unknown_order,
        },
        domain,
        global_id::GlobalId,
    },
    ids::{EventId, OrderId},
    sales::{Action, command::Canceller},
};

/// What `cancelOrder` needs.
#[derive(InputObject)]
pub struct CancelOrderInput {
    /// The order.
    order_id: ID,
    /// The items to cancel; all if absent.
    item_ids: Option<Vec<ID>>,
    /// Why, in one line of at most 500 characters, for the customer to read. Staff must say it.
    reason: Option<String>,
    /// 1 to 128 printable characters of your choice, new for every cancellation and the same whenever you repeat it; a UUID
    /// serves.
    idempotency_key: String,
}

/// What became of an order.
#[derive(SimpleObject)]
#[graphql(concrete(name = "PurchaseHoldPayload", params(PurchaseHoldUserError)))]
#[graphql(concrete(name = "CancelOrderPayload", params(CancelOrderUserError)))]
pub struct OrderPayload<E: OutputType> {
    /// The order as it is now; null when what was asked was refused.
    order: Option<Order>,
    /// Why it was refused; empty when it was done.
    user_errors: Vec<E>,
}

impl<E: OutputType + TryFrom<Reason, Error = Code>> OrderPayload<E> {
    pub fn new(answer: Result<Order, Vec<Reason>>) -> Result<Self> {
        let (order, user_errors) = split(answer)?;
        Ok(Self { order, user_errors })
    }
}

#[derive(Default)]
pub struct CancelMutation;

#[Object]
impl CancelMutation {
    /// Cancels an order, whole or some of its items: the tickets can be bought again at once, and their admission codes are
    /// dead. What is cancelled already stays so; cancelling twice is harmless.
    ///
    /// Needs the token of the customer whose order it is, and then the event must allow it (`cancellableUntil`); or the
    /// token of the event's organizer, at any time and with a reason.
    async fn cancel_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which order, which of its items, and under which key.")]
        input: CancelOrderInput,
    ) -> Option<Result<OrderPayload<CancelOrderUserError>>> {
        Some(deadline::done(ctx, cancel_order(ctx, input)).await)
    }
}

async fn cancel_order(
    ctx: &Context<'_>,
    input: CancelOrderInput,
) -> Result<OrderPayload<CancelOrderUserError>> {
    let caller = caller(ctx);
    if let Caller::Anonymous = caller {
        return Err(Denial::Unauthenticated.into());
    }
    let Some((event_id, order_id)) = GlobalId::decode(&input.order_id).and_then(GlobalId::order)
    else {
        return OrderPayload::new(Err(vec![unknown_order()]));
    };
    let items = match input
        .item_ids
        .map(|ids| read_items(&ids, event_id))
        .transpose()
    {
        Ok(items) => items,
        Err(reasons) => return OrderPayload::new(Err(reasons)),
    };
    let Some((account, by)) = canceller(ctx, caller, event_id, order_id).await? else {
        return OrderPayload::new(Err(vec![unknown_order()]));
    };
    let named = items.clone().unwrap_or_default();
    let asked = Asked {
        account,
        // Who cancels as staff asks in their own name.
        staff: None,
        event_id,
        key: &input.idempotency_key,
        action: Action::CancelOrder {
            order_id,
            items,
            by,
            reason: input.reason,
        },
        fields: Fields {
            items: named,
            ..Fields::new(Subject::ItemsOfOrder)
        },
    };
    OrderPayload::new(ask_for_order(ctx, asked).await?)
}

/// Who cancels; none for whom there is no such order.
async fn canceller<'a>(
    ctx: &Context<'_>,
    caller: &'a Caller,
    event_id: EventId,
    order_id: OrderId,
) -> Result<Option<(&'a Account, Canceller)>> {
    Ok(match caller {
        Caller::Anonymous => None,
        Caller::Customer(customer) => Some((customer.account(), Canceller::Customer)),
        Caller::Staff(staff) => {
            let grant = staff.about_to(Permission::Cancel)?;
            permit(ctx, &grant, event_id).await?;
            let sales = &domain(ctx).sales;
            let customer_id = sales.customer_of_order(&grant, event_id, order_id).await?;
            customer_id.map(|customer_id| (staff.account(), Canceller::Staff { customer_id }))
        }
    })
}
