using Kvcached.Router.Models;

namespace Kvcached.Router.Tests.Support;

/// <summary>What tests ask of a gate.</summary>
internal static class Gates
{
    public static async Task<Ticket> EnterAsync(this ModelGate gate)
    {
        Assert.False((await gate.EnterAsync(CancellationToken.None)).IsRefused(out var refusal, out var ticket), $"refused: {refusal}");
        return ticket!;
    }

    public static async Task<Refusal> RefusedAsync(this ValueTask<Admission> entering)
    {
        Assert.True((await entering).IsRefused(out var refusal, out _));
        return refusal!;
    }
}
