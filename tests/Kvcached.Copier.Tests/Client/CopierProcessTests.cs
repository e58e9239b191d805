using System.Buffers.Binary;
using Kvcached.Copier.Tests.Wire;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Sockets;
using static Kvcached.Gpu.Copying.CopierProtocol;

namespace Kvcached.Copier.Tests.Client;

/// <summary>The process itself, spoken to byte by byte.</summary>
public sealed class CopierProcessTests
{
    private static readonly Hello Greeting = new(CopierProtocol.Version, CopierBackend.Host, TestPool.Gpu);
    private static readonly Extent Pages = new(0, new PageId(0), 0, 1);

    [Fact]
    public async Task Process_HostIsGone_Ends()
    {
        await using var copier = new RawCopier();
        Assert.IsType<HelloAccepted>(copier.Ask(Greeting));
        copier.Channel.Dispose();
        Assert.Equal((0, string.Empty), await copier.EndAsync());
    }

    [Fact]
    public async Task Process_HostIsGoneWithMappings_Ends()
    {
        await using var copier = new RawCopier();
        using var pool = new TestPool(TestPool.GeometryOf(KvLayout.Contiguous));
        copier.Ask(Greeting);
        copier.Ask(new Attach(pool.Id, 0, pool.Geometry));
        Assert.IsType<Done>(copier.Ask(new Map(pool.Id, Pages, 0, 1, 1), [.. pool.Lend(Pages)]));
        copier.Channel.Dispose();
        Assert.Equal((0, string.Empty), await copier.EndAsync());
    }

    [Fact]
    public async Task Process_ToldToExit_AnswersAndEnds()
    {
        await using var copier = new RawCopier();
        Assert.IsType<Done>(copier.Ask(new Exit()));
        Assert.Equal((0, string.Empty), await copier.EndAsync());
    }

    [Fact]
    public async Task Process_OtherVersion_IsRefusedAndCanBeGreetedAgain()
    {
        await using var copier = new RawCopier();
        Assert.Equal(CopierRefusal.VersionMismatch, Assert.IsType<Refused>(copier.Ask(Greeting with { Version = 99 })).Reason);
        Assert.IsType<HelloAccepted>(copier.Ask(Greeting));
    }

    public static TheoryData<string, byte[]> MalformedFrames()
    {
        var good = CopierCodecTests.FrameOf(Greeting, 1);
        var longer = good.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(longer.AsSpan(16), int.MaxValue);
        var claimsDescriptors = good.ToArray();
        claimsDescriptors[6] = 3;
        return new TheoryData<string, byte[]>
        {
            { "no header", [1, 2, 3] },
            { "doesn't begin", new byte[100] },
            { "states a body", good[..^1] },
            { "states a body", longer },
            { "descriptors", claimsDescriptors },
            { "arrived in part", new byte[CopierCodec.MaxFrameBytes + 1] },
            { "other side", CopierCodecTests.FrameOf(new Done(), 1) },
            { "out of order", CopierCodecTests.FrameOf(new Map(new PoolId(1), Pages, 1, 2, 1), 1) },
        };
    }

    [Theory]
    [MemberData(nameof(MalformedFrames))]
    public async Task Process_MalformedFrame_EndsTheConversationAndSaysWhy(string why, byte[] frame)
    {
        await using var copier = new RawCopier();
        using var file = File.OpenHandle(typeof(CopierProcessTests).Assembly.Location);
        Assert.IsType<HelloAccepted>(copier.Ask(Greeting));
        Assert.True(copier.Channel.Send(frame, why == "out of order" ? [file] : []));
        var (exitCode, errors) = await copier.EndAsync();
        Assert.Equal(2, exitCode);
        Assert.Contains(why, errors);
        Assert.Equal(ReceiveStatus.Closed, copier.Channel.Receive(new byte[10], out _, []));
    }

    [Fact]
    public async Task Process_OtherRequestBetweenParts_EndsTheConversation()
    {
        await using var copier = new RawCopier();
        using var file = File.OpenHandle(typeof(CopierProcessTests).Assembly.Location);
        copier.Ask(Greeting);
        copier.Send(new Map(new PoolId(1), Pages, 0, 2, 1), file);
        copier.Send(new Detach(new PoolId(1)));
        var (exitCode, errors) = await copier.EndAsync();
        Assert.Equal(2, exitCode);
        Assert.Contains("between the parts", errors);
    }

    [Fact]
    public async Task Process_DescriptorsThatAreNoMemory_AreRefusedAndClosed()
    {
        await using var copier = new RawCopier();
        using var file = File.OpenHandle(typeof(CopierProcessTests).Assembly.Location);
        copier.Ask(Greeting);
        var geometry = TestPool.GeometryOf(KvLayout.Contiguous);
        copier.Ask(new Attach(new PoolId(1), 0, geometry));
        var before = ProcessFacts.CountDescriptors(copier.ProcessId);
        for (var i = 0; i < 5; i++)
        {
            Assert.Equal(CopierRefusal.BadDescriptor, Assert.IsType<Refused>(copier.Ask(new Map(new PoolId(1), Pages, 0, 1, 1), file)).Reason);
            Assert.Equal(CopierRefusal.UnknownPool, Assert.IsType<Refused>(copier.Ask(new Map(new PoolId(2), Pages, 0, 1, 1), file)).Reason);
        }

        Assert.Equal(before, ProcessFacts.CountDescriptors(copier.ProcessId));
    }
}
