using Akka.Actor;
using Kvcached.Actors.Hosting;

namespace Kvcached.Actors.Tests.Serialization;

/// <summary>One actor system with the built-in serializers for all tests that only write and read.</summary>
public sealed class WireFixture : IAsyncLifetime
{
    public ActorSystem System { get; } = ActorSystem.Create("wire", KvcachedHocon.Load("serialization"));

    /// <summary>An actor for messages to refer to.</summary>
    public IActorRef Reference { get; private set; } = ActorRefs.Nobody;

    public Task InitializeAsync()
    {
        Reference = System.ActorOf(Akka.TestKit.TestActors.BlackHoleActor.Props, "reference");
        return Task.CompletedTask;
    }

    public Task DisposeAsync() => System.Terminate();
}

[CollectionDefinition(Name)]
public sealed class WireGroup : ICollectionFixture<WireFixture>
{
    public const string Name = "wire";
}
